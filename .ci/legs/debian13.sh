# shellcheck shell=bash
# Builds on the next Debian, newer compilers and libraries, and runs there the unit tests and those with a
# mount that depend on libfuse: reads passed through to the destination are nowhere else.
DEBIAN13_E2E='passthrough|exposed_file|file_mountpoint|readers|stop|loop_ext4|dead_mountpoint|spliced_replies'

leg_debian13() {
	local root=$CLONEFS_CACHE/trixie
	if [[ $(id -u) != 0 ]]; then
		printf 'not root: left out\n'
		return 0
	fi
	make_trixie "$root" "${BUILD_PACKAGES[@]}" "${RUN_PACKAGES[@]}" "${TEST_PACKAGES[@]}"
	rm -rf "$root/src"
	copy_tree "$root/src"
	cat >"$root/src/in-chroot" <<-END
		set -eu
		cd /src
		cmake --preset dev >/dev/null
		cmake --build build/dev -j $JOBS
		exec ctest --test-dir build/dev --output-on-failure -j $TEST_JOBS \
			-R '^(unit|fuzz)\.|^e2e\.($DEBIAN13_E2E)\$'
	END
	in_root "$root" sh /src/in-chroot
	rm -rf "$root/src"
}
