#!/usr/bin/env bash
# 100,000 random reads, writes, punches, zero-ranges, mappings and fsyncs by eight threads, against a
# model in memory, with kill -9 and a new mount every few thousand: every byte is the last fsynced
# one or newer. Several region sizes, odd image sizes, during hydration.
#
# OPERATIONS, SEED and MODEL_OPTIONS (model_io's) from the environment, to look closer.
. "$(dirname "$0")/lib.sh"

require_clonefs
MODEL_IO=$CLONEFS_BUILD/tests/support/model_io/model_io
OPERATIONS=${OPERATIONS:-100000}
SEED=${SEED:-$RANDOM}

# As programs, so that model_io can call them in the middle of its operations.
write_crash_scripts() {
	cat >"$T/kill" <<-END
		#!/usr/bin/env bash
		set -eu
		pid=\$('$CLONECTL' status --json '$1' | jq .pid)
		kill -KILL "\$pid"
		while [[ -e /proc/\$pid ]] && ! grep -qs '^State:[[:space:]]*[ZX]' "/proc/\$pid/status"; do
			sleep 0.01
		done
	END
	cat >"$T/mount" <<-END
		#!/usr/bin/env bash
		exec '$MOUNT_CLONEFS' -o 'state_dir=$(state_dir_of "$1"),name=$(clone_name "$1"),$2' '$3' '$1'
	END
	chmod +x "$T/kill" "$T/mount"
}

# run_model NAME SIZE SHARE-OF-OPERATIONS OPTIONS [SOURCE-PREFIX]: SIZE in bytes.
run_model() {
	local name=$1 size=$2 operations=$((OPERATIONS * $3 / 100)) options=$4 region_size
	local source=${5:-$URL}/$1.raw
	say "$name: $size bytes, $operations operations, $options"
	region_size=${options#region_size=}
	make_image "$T/www/$name.raw" "$size" "$SEED"
	write_crash_scripts "$T/$name" "$options" "$source"
	mount_clonefs "$source" "$T/$name" "$options"
	# shellcheck disable=SC2086 # several words
	"$MODEL_IO" --image "$T/$name/$name.raw" --begin "$T/www/$name.raw" --save "$T/expected" \
		--operations "$operations" --crash-every "$((operations / 8))" --seed "$SEED" \
		--region-size "${region_size%%,*}" ${MODEL_OPTIONS:-} --kill "$T/kill" --mount "$T/mount" ||
		fail "$name: the image is not what the model says (SEED=$SEED)"
	"$CLONECTL" resume "$T/$name"
	wait_hydrated "$T/$name"
	assert_same_file "$T/$name/$name.raw" "$T/expected"
	umount_clonefs "$T/$name"
	assert_same_file "$T/state/$name/disk.img" "$T/expected"
	"$CLONECTL" check "$T/state/$name/metadata" >/dev/null
	rm -rf "$T/state/$name" "$T/www/$name.raw"
}

say "SEED=$SEED"
start_range_server --ttfb-ms 1
run_model small 33554432 20 region_size=4K,no_hydration
run_model slow 67108864 20 region_size=64K,background_rate=4M
run_model file 100000001 20 region_size=64K,no_hydration "$T/www"
run_model odd 67100161 20 region_size=64K,hydration_batch_size=3,background_rate=8M
run_model large 134217217 20 region_size=1M,background_rate=8M
