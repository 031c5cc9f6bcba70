# shellcheck shell=bash
# Builds, and runs the unit tests, on the next Debian: newer compilers and libraries.

# The mirror this machine uses, so that CI needs no other one.
# shellcheck disable=SC2016 # $(SITE) is apt's
debian_mirror() {
	apt-get indextargets --format '$(SITE)' 'Created-By: Packages' |
		grep -E '/debian/?$' | head -n 1 || true
}

# Packages are baked into the kept root; another list of packages makes another root.
make_trixie() {
	local root=$1 packages
	packages=$(IFS=,; echo "${BUILD_PACKAGES[*]},${RUN_PACKAGES[*]},${TEST_PACKAGES[*]}")
	[[ $(cat "$root/.packages" 2>/dev/null) != "$packages" ]] || return 0
	rm -rf --one-file-system "$root" "$root.new"
	mkdir -p "$(dirname "$root")"
	mmdebstrap --quiet --variant=apt --include="$packages" trixie "$root.new" "$(debian_mirror)"
	printf '%s\n' "$packages" >"$root.new/.packages"
	mv "$root.new" "$root"
}

# in_root ROOT COMMAND...: in a mount namespace of its own, so that nothing stays mounted below it.
# The root is a mount, as on any machine: tests look for "/" among the mounts.
# shellcheck disable=SC2016 # expanded by the inner shell
in_root() {
	unshare --mount bash -euc '
		root=$1
		shift
		mount --bind "$root" "$root"
		mount -t proc proc "$root/proc"
		mount --rbind /dev "$root/dev"
		mount -t tmpfs tmpfs "$root/tmp"
		exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C CI=true "$@"
	' in_root "$@"
}

leg_debian13() {
	local root=$CLONEFS_CACHE/trixie
	if [[ $(id -u) != 0 ]]; then
		printf 'not root: left out\n'
		return 0
	fi
	make_trixie "$root"
	rm -rf "$root/src"
	mkdir "$root/src"
	tracked | tar -c --no-recursion -T - | tar -x -C "$root/src"
	cat >"$root/src/in-chroot" <<-END
		set -eu
		cd /src
		cmake --preset dev >/dev/null
		cmake --build build/dev -j $JOBS
		exec ctest --test-dir build/dev --output-on-failure -j $JOBS -L unit
	END
	in_root "$root" sh /src/in-chroot
	rm -rf "$root/src"
}
