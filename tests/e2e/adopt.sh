#!/usr/bin/env bash
# What the kernel's dm-clone made and half hydrated is adopted and goes on in both directions: finished here and
# accepted there, half hydrated here and finished there.
. "$(dirname "$0")/lib.sh"

require_clonefs
need_program zstd zstd
CHECK=$TOP_DIR/tests/kernel/check
if ! "$CHECK" setup >"$T/logs/kernel" 2>&1; then
	[[ ${CLONEFS_REQUIRE_KERNEL:-} != 1 ]] || fail "no kernel with dm-clone: $(cat "$T/logs/kernel")"
	skip "no kernel with dm-clone: $(tail -n 1 "$T/logs/kernel")"
fi
# 128 regions of 64 KiB, the last one short.
SECTORS=$((127 * 128 + 5))
make_image "$T/www/disk.raw" $((SECTORS * 512)) 1
start_range_server
FILE=$T/mnt/disk.raw

# kernel OPS...: dm-clone does that to $T/metadata and $T/destination; sets LINE, its status line.
kernel() {
	LINE=$("$CHECK" run "$T/metadata" --target-size $SECTORS --region-size 128 \
		--source "$T/www/disk.raw" --destination "$T/destination" --ops "$*" 2>>"$T/logs/kernel") ||
		fail "the kernel: $(tail -n 5 "$T/logs/kernel")"
}
# line_of_both: SECTORS to HYDRATED/TOTAL: what does not depend on settings.
common_words() {
	cut -d ' ' -f 1-7 <<<"$1"
}
zero_regions() {
	put_zeros "$1" $(($2 * 65536)) $((($3 - $2 + 1) * 65536))
}

# begin: what the kernel leaves: 0-9 and 100-127 as in the source, 20-29 zero, 40 zero in its first sector.
begin() {
	rm -f "$T/metadata" "$T/destination"
	truncate -s 1M "$T/metadata"
	truncate -s $((SECTORS * 512)) "$T/destination"
	kernel copy:0-9 write:20-29 poke:40 commit copy:100-127
	assert_eq "$(cut -d ' ' -f 7 <<<"$LINE")" 49/128 "hydrated by the kernel"
	cp "$T/www/disk.raw" "$T/expected"
	zero_regions "$T/expected" 20 29
	put_zeros "$T/expected" $((40 * 65536)) 512
}

say "adopted: the kernel's regions are ours, nothing is written by that"
begin
cp "$T/metadata" "$T/metadata.before"
PLACES=dest=$T/destination,metadata=$T/metadata
mount_clonefs "$URL/disk.raw" "$T/mnt" "$PLACES,no_hydration"
assert_eq "$(status_field regions_hydrated)" 49 "regions hydrated"
assert_eq "$(status_field region_size)" 65536 "region size"
assert_eq "$(status_field modified)" true "modified"
assert_eq "$(common_words "$("$CLONECTL" dmsetup --noflush "$T/mnt")")" "$(common_words "$LINE")" "status line"
umount_clonefs
assert_same_file "$T/metadata" "$T/metadata.before"

say "finished here: no byte that the kernel hydrated is fetched, and the kernel agrees"
server_mark
mount_clonefs "$URL/disk.raw"
wait_hydrated
assert_same_file "$FILE" "$T/expected"
umount_clonefs
wait_for 60 server_is_idle
assert_eq "$(server_overlaps 65536 $((10 * 65536 - 1)))" 0 "requests for regions 1 to 9"
assert_eq "$(server_overlaps $((20 * 65536)) $((30 * 65536 - 1)))" 0 "requests for regions 20 to 29"
assert_eq "$(server_overlaps $((100 * 65536)) $((SECTORS * 512)))" 0 "requests for regions 100 to 127"
assert_same_file "$T/destination" "$T/expected"
"$CHECK" verify "$T/metadata" --target-size $SECTORS --region-size 128 --expect 0-127 >"$T/logs/verify" 2>&1 ||
	fail "the kernel does not agree: $(tail -n 5 "$T/logs/verify")"
kernel
assert_eq "$(cut -d ' ' -f 7 <<<"$LINE")" 128/128 "hydrated, says the kernel"
assert_same_file "$T/destination" "$T/expected"

say "half hydrated here, finished by the kernel"
rm -r "$T/state/mnt"
begin
mount_clonefs "$URL/disk.raw" "$T/mnt" "$PLACES,no_hydration"
punch "$FILE" $((50 * 65536)) $((5 * 65536))
zero_regions "$T/expected" 50 54
dd if=/dev/urandom of="$T/new" bs=200000 count=1 status=none
for file in "$FILE" "$T/expected"; do
	dd if="$T/new" of="$file" bs=200000 seek=$((60 * 65536 + 777)) oflag=seek_bytes conv=notrunc status=none
done
assert_same_range "$FILE" "$T/expected" $((70 * 65536)) 65536
# What was read ahead is there before the two are compared.
wait_for 60 server_is_idle
wait_for 60 status_is regions_hydrating 0
mine=$("$CLONECTL" dmsetup "$T/mnt")
kill_daemon
umount -l "$T/mnt"
kernel
assert_eq "$(common_words "$LINE")" "$(common_words "$mine")" "status line of the kernel"
kernel hydrate
assert_eq "$(cut -d ' ' -f 7 <<<"$LINE")" 128/128 "hydrated by the kernel"
assert_same_file "$T/destination" "$T/expected"
"$CLONECTL" check "$T/metadata" >"$T/logs/check"

say "and the clone finds it complete"
stop_server
mount_clonefs "$URL/disk.raw"
assert_eq "$(status_field hydration)" "done" "hydration"
assert_same_file "$FILE" "$T/expected"
umount_clonefs
