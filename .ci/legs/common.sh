# shellcheck shell=bash
# Running legs. A leg is a function leg_NAME, run with set -e in a subshell at the top of the tree.

JOBS=$(nproc)
# Tests wait a lot.
TEST_JOBS=$((JOBS + 1))

# The tree may belong to somebody else than the user CI runs as.
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=$PWD

# What users install, in build/product: a release without the tests, which are most of the compiler's work.
build_product() {
	cmake --preset release -B build/product -D BUILD_TESTING=OFF >/dev/null
	cmake --build build/product -j "$JOBS"
}

# run_legs NAME...: all of them, whatever happens; then the table. Not to be called in a condition.
run_legs() {
	local name began status failed=0 table=''
	for name in "$@"; do
		if ! declare -F "leg_$name" >/dev/null; then
			printf 'unknown leg: %s\n' "$name" >&2
			exit 2
		fi
	done
	install_ci_packages
	for name in "$@"; do
		printf '\n=== %s\n' "$name"
		began=$SECONDS
		# Not "leg || status=$?": there bash would ignore set -e inside the leg.
		set +e
		(
			set -e
			"leg_$name"
		) </dev/null
		status=$?
		set -e
		table+=$(printf '%-12s %6d s  %s' "$name" $((SECONDS - began)) \
			"$([[ $status = 0 ]] && echo passed || echo "FAILED ($status)")")$'\n'
		((status == 0)) || failed=1
	done
	printf '\n%s%-12s %6d s\n' "$table" total "$SECONDS"
	return "$failed"
}

# tracked PATTERN...: files under version control, also new ones that are not ignored.
tracked() {
	git ls-files --cached --others --exclude-standard --deduplicate -- "$@" | while read -r file; do
		[[ ! -f $file ]] || printf '%s\n' "$file"
	done
}
