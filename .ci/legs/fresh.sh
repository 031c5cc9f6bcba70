# shellcheck shell=bash
# What the README promises: on a fresh Debian 12, ./quickstart alone and ./tests/run alone do it all.

leg_fresh() {
	local scratch
	if [[ $(id -u) != 0 ]]; then
		printf 'not root: left out\n'
		return 0
	fi
	install_packages mmdebstrap
	scratch=$(mktemp -d /var/tmp/clonefs-fresh.XXXXXX)
	# shellcheck disable=SC2064 # now: the variable is gone when it runs
	trap "rm -rf --one-file-system '$scratch'" EXIT
	make_clean_root "$scratch"
	# Below a home that is closed to other users, as a newcomer's checkout is.
	chmod 0700 "$scratch/root"
	copy_tree "$scratch/root/clonefs"
	in_root "$scratch" bash -c '
		cd /root/clonefs
		TIMEFORMAT="%0R s"
		printf "quickstart, with its packages and its build: "
		time ./quickstart >/root/quickstart.log 2>&1 || { cat /root/quickstart.log; exit 1; }
		printf "quickstart again: "
		time ./quickstart >/root/quickstart.log 2>&1 || { cat /root/quickstart.log; exit 1; }
		time ./tests/run'
}
