# shellcheck shell=bash
# Builds on the next Debian, newer compilers and libraries, and runs there the unit tests and those with a
# mount that depend on libfuse: reads passed through to the destination are nowhere else. The engine's units, which
# use no library but libc and run in three other legs of .ci/run, are half of the time: .ci/full runs them there.
DEBIAN13_E2E='passthrough|exposed_file|file_mountpoint|readers|stop|loop_ext4|dead_mountpoint|spliced_replies'

# test_on_debian13 CTEST_OPTION...: a build of this tree there, and ctest in it.
test_on_debian13() {
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
		exec ctest --test-dir build/dev --output-on-failure -j $TEST_JOBS ${*@Q}
	END
	in_root "$root" sh /src/in-chroot
	rm -rf "$root/src"
}

leg_debian13() {
	test_on_debian13 -R "^(unit|fuzz)\.|^e2e\.($DEBIAN13_E2E)\$" -E '^unit\.engine_'
}

leg_debian13_engine() {
	test_on_debian13 -R '^unit\.engine_'
}
