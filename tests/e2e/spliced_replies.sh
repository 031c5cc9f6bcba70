#!/usr/bin/env bash
# Large hydrated reads come out of the destination's pages by way of pipes: the right bytes, at lengths
# on both sides of what a pipe holds, by many readers at once, also where they have just been written.
. "$(dirname "$0")/lib.sh"

require_clonefs
SIZE=$((16 << 20))
FITS=$((1008 << 10)) # REPLY_PIPE_MAX
make_image "$T/www/disk.raw" "$SIZE"
start_range_server
mount_clonefs "$URL/disk.raw"
wait_hydrated
cp "$T/www/disk.raw" "$T/expected"
# Whoever may write it keeps other opens from being passed through to the destination.
exec 9<>"$(image_of)"

nr_pipes() { find "/proc/$(status_field pid)/fd" -lname 'pipe:*' | wc -l; }

# assert_reads LENGTH OFFSET   past the page cache
assert_reads() {
	dd if="$(image_of)" of="$T/got.$2" bs="$1" count=1 skip="$2" iflag=direct,skip_bytes status=none
	dd if="$T/expected" of="$T/want.$2" bs="$1" count=1 skip="$2" iflag=skip_bytes status=none
	cmp "$T/got.$2" "$T/want.$2" || fail "$1 bytes at $2 differ"
}

before=$(nr_pipes)
assert_reads 4096 0
assert_reads 65536 4096
assert_eq "$(nr_pipes)" "$before" "pipes after small reads"
assert_reads "$FITS" 0
# One of ours and libfuse's own, of two ends each; who is root in a namespace only has none.
if [[ $(stat -Lc %i /proc/self/ns/user) == $((0xEFFFFFFD)) ]]; then
	assert_eq "$(nr_pipes)" $((before + 4)) "pipes after a large read"
else
	assert_eq "$(nr_pipes)" "$before" "pipes after a large read, in a user namespace"
fi

for length in 69632 131072 $((FITS - 4096)) "$FITS" $((FITS + 4096)) $((1 << 20)) $((3 << 20)); do
	for offset in 0 512 4096 61440 $((5 << 20)) $((SIZE - 524288)) $((SIZE - 65536)); do
		assert_reads "$length" "$offset"
	done
done
assert_same_file "$(image_of)" "$T/expected"

# More at a time than there are pipes.
readers=()
for offset in {0..23}; do
	for _ in {1..20}; do assert_reads "$FITS" $((offset * 512000)); done &
	readers+=($!)
done
for reader in "${readers[@]}"; do
	wait "$reader" || fail "a reader among others found a difference"
done

# What was written and given back shows at once, in pages that are not on the disk yet.
for offset in 512 1000000 $((4 << 20)) $((9 << 20)); do
	dd if=/dev/urandom of="$T/new" bs=70000 count=1 status=none
	for to in "$(image_of)" "$T/expected"; do
		dd if="$T/new" of="$to" bs=70000 seek="$offset" oflag=seek_bytes conv=notrunc status=none
		fallocate --punch-hole --offset $((offset + 200000)) --length 100000 "$to"
	done
	assert_reads "$FITS" $((offset / 4096 * 4096))
done
assert_same_file "$(image_of)" "$T/expected"
exec 9>&-
umount_clonefs
assert_same_file "$(state_dir_of)/disk.img" "$T/expected"
