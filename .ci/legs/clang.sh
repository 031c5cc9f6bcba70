# shellcheck shell=bash
# The other compiler, with its thread-safety analysis; style; static analysis.

leg_clang() {
	tests/run -p clang -L unit
}

leg_format() {
	tracked '*.c' '*.h' | xargs -r clang-format --dry-run -Werror
}

# Headers are looked at through the files that include them.
leg_tidy() {
	cmake --preset clang >/dev/null
	run-clang-tidy -quiet -p build/clang -j "$JOBS" "^$PWD/(core|backends|daemon|cli)/.*\\.c\$" \
		>build/clang/tidy.log 2>&1 || {
		grep -E '(warning|error|note):' build/clang/tidy.log
		return 1
	}
}
