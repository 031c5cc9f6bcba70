# shellcheck shell=bash
# Tests again under AddressSanitizer + UndefinedBehaviorSanitizer and under ThreadSanitizer: all units,
# and the mounts that stress the data path. .ci/full runs the rest of them that way.

# What has one thread only is for AddressSanitizer alone.
SINGLE_THREADED='^unit\.(state_crash|metadata_(commit|crash|damage)|clonectl(_wait)?)$'

# What moves hundreds of MiB, each with as much shadow memory and more, is under ThreadSanitizer in .ci/full only.
LARGE='^unit\.engine_(prealloc|readahead)$'

SANITIZED='^unit\.|^fuzz\.|^e2e\.(exposed_file|kill_resume|pause|readers|two_clones)$'

# sanitized_tests PRESET [tests/run arguments]
sanitized_tests() {
	local preset=$1
	shift
	export ASAN_OPTIONS=halt_on_error=1:detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1
	export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
	export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
	# gcc 12's ThreadSanitizer does not start where addresses are randomised with more than 28 bits.
	setarch "$(uname -m)" --addr-no-randomize tests/run -p "$preset" "$@"
}

# With clang, so that the other compiler's warnings and thread-safety analysis come with it.
leg_asan() {
	sanitized_tests clang-asan -R "$SANITIZED"
}

leg_tsan() {
	sanitized_tests tsan -R "$SANITIZED" -E "$SINGLE_THREADED|$LARGE"
}
