# shellcheck shell=bash
# Builds on the next Debian, newer compilers and libraries, and runs there the unit tests and those with a
# mount that depend on libfuse: reads passed through to the destination are nowhere else.
DEBIAN13_E2E='passthrough|exposed_file|file_mountpoint|readers|stop|loop_ext4|dead_mountpoint'

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

leg_debian13() {
	local root=$CLONEFS_CACHE/trixie
	if [[ $(id -u) != 0 ]]; then
		printf 'not root: left out\n'
		return 0
	fi
	make_trixie "$root"
	rm -rf "$root/src"
	copy_tree "$root/src"
	cat >"$root/src/in-chroot" <<-END
		set -eu
		cd /src
		cmake --preset dev >/dev/null
		cmake --build build/dev -j $JOBS
		exec ctest --test-dir build/dev --output-on-failure -j $JOBS \
			-R '^(unit|fuzz)\.|^e2e\.($DEBIAN13_E2E)\$'
	END
	in_root "$root" sh /src/in-chroot
	rm -rf "$root/src"
}
