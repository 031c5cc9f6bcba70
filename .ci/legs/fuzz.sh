# shellcheck shell=bash
# Every fuzz target for CLONEFS_FUZZ_RUNS executions (ten million), from its corpus on. What is found
# lies in build/fuzz/findings; the corpora in the tree do not change.

leg_fuzz() {
	local target name findings=$PWD/build/fuzz/findings
	cmake --preset fuzz >/dev/null
	cmake --build build/fuzz -j "$JOBS"
	mkdir -p "$findings"
	for target in build/fuzz/tests/fuzz/fuzz_*; do
		[[ -x $target && ! -d $target ]] || continue
		name=${target##*/fuzz_}
		mkdir -p "build/fuzz/corpora/$name"
		"$target" -runs="${CLONEFS_FUZZ_RUNS:-10000000}" -timeout=20 -print_final_stats=1 \
			-artifact_prefix="$findings/$name-" "build/fuzz/corpora/$name" \
			"tests/fuzz/${name}_corpus" >"build/fuzz/$name.log" 2>&1 || {
			tail -n 60 "build/fuzz/$name.log"
			return 1
		}
		printf '%s: %s\n' "$name" "$(grep -o 'number_of_executed_units: [0-9]*' "build/fuzz/$name.log")"
	done
}
