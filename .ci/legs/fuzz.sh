# shellcheck shell=bash
# Every fuzz target for CLONEFS_FUZZ_RUNS executions (ten million), from its corpus on, shared by as
# many processes as there are cores. What is found lies in build/fuzz/findings; the corpora in the tree
# do not change. CLONEFS_FUZZ_TARGETS (all): names, with spaces between.

# fuzz_share TARGET RUNS I: process I of a target, with a corpus and a seed of its own.
fuzz_share() {
	local target=$1 runs=$2 i=$3 corpus=build/fuzz/corpora/$1.$3
	mkdir -p "$corpus"
	build/fuzz/tests/fuzz/"fuzz_$target" -runs="$runs" -timeout=20 -print_final_stats=1 -print_funcs=0 \
		-artifact_prefix="build/fuzz/findings/$target-" "$corpus" \
		"tests/fuzz/${target}_corpus" >"build/fuzz/$target.$i.log" 2>&1 || {
		tail -n 60 "build/fuzz/$target.$i.log"
		return 1
	}
}

fuzz_target() {
	local target=$1 i pid failed=0 start=$SECONDS pids=()
	for ((i = 0; i < JOBS; i++)); do
		fuzz_share "$target" $(((${CLONEFS_FUZZ_RUNS:-10000000} + JOBS - 1) / JOBS)) "$i" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || failed=1
	done
	((!failed)) || return 1
	awk -v target="$target" -v seconds=$((SECONDS - start)) '/number_of_executed_units/ { n += $2 }
		END { printf "%s: %d executions, %d s\n", target, n, seconds }' build/fuzz/"$target".[0-9]*.log
}

leg_fuzz() {
	local program targets=${CLONEFS_FUZZ_TARGETS:-}
	cmake --preset fuzz >/dev/null
	cmake --build build/fuzz --target tests/fuzz/all -j "$JOBS"
	mkdir -p build/fuzz/findings
	# A finding is run again by hand for the stacks of its allocations.
	export ASAN_OPTIONS=malloc_context_size=0:quarantine_size_mb=4
	for program in build/fuzz/tests/fuzz/fuzz_*; do
		[[ -x $program && ! -d $program ]] || continue
		[[ -z $targets || " $targets " == *" ${program##*/fuzz_} "* ]] || continue
		fuzz_target "${program##*/fuzz_}" || return 1
	done
}
