# shellcheck shell=bash

leg_shellcheck() {
	local file scripts=()
	while read -r file; do
		if [[ $file = *.sh ]] || head -n 1 "$file" | grep -qE '^#!.*\b(ba|da)?sh\b'; then
			scripts+=("$file")
		fi
	done < <(tracked)
	printf '%d scripts\n' "${#scripts[@]}"
	shellcheck "${scripts[@]}"
}
