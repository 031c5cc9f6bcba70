#!/usr/bin/env bash
# Loop devices on a clone that hydrates: direct I/O, both sector sizes, discards, partitions, several on one
# image, and every wrong order of taking things away.
. "$(dirname "$0")/lib.sh"

require_clonefs
need_program sfdisk fdisk
need_program partx util-linux
SIZE=$((32 << 20))
make_image "$T/www/disk.raw" 32M 1
# Two partitions, so that there is something to find.
printf 'label: gpt\nstart=2048,size=16384\nstart=18432,size=32768\n' | sfdisk -q "$T/www/disk.raw"
touch -d '2020-09-13 12:26:40 UTC' "$T/www/disk.raw"
cp "$T/www/disk.raw" "$T/expected"
start_range_server --ttfb-ms 2
FILE=$T/mnt/disk.raw

# write_both DEVICE OFFSET LENGTH: random bytes to the device and to what is expected.
write_both() {
	head -c "$3" /dev/urandom >"$T/new"
	dd if="$T/new" of="$1" bs="$3" oflag=direct,seek_bytes seek="$2" conv=notrunc status=none
	dd if="$T/new" of="$T/expected" bs="$3" oflag=seek_bytes seek="$2" conv=notrunc status=none
}

mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration

say "direct I/O, sectors of 512 and 4096 bytes"
for sector in 512 4096; do
	attach_loop "$FILE" --direct-io=on --sector-size $sector
	assert_eq "$(cat "/sys/block/${LOOP##*/}/loop/dio")" 1 "direct I/O"
	assert_eq "$(blockdev --getss "$LOOP")" $sector "sector size"
	assert_eq "$(blockdev --getsize64 "$LOOP")" $SIZE "size of the device"
	write_both "$LOOP" $((sector * 7)) $sector
	write_both "$LOOP" $(((3 << 20) + sector)) $((sector * 300))
	dd if="$LOOP" iflag=direct bs=$sector count=16 skip=$((2 << 20)) iflag=skip_bytes,direct status=none |
		cmp - -n $((sector * 16)) "$T/expected" -i 0:$((2 << 20))
	server_mark
	blkdiscard --force -o $((8 << 20)) -l $((2 << 20)) "$LOOP"
	blkdiscard --force --zeroout -o $((10 << 20)) -l $((1 << 20)) "$LOOP"
	put_zeros "$T/expected" $((8 << 20)) $((3 << 20))
	wait_for 60 server_is_idle
	assert_eq "$(server_overlaps $((8 << 20)) $(((11 << 20) - 1)))" 0 "requests for what was discarded"
	blockdev --flushbufs "$LOOP"
	assert_same_file "$LOOP" "$T/expected"
	detach_loop "$LOOP"
	assert_same_file "$FILE" "$T/expected"
	"$CLONECTL" resume "$T/mnt"
done
wait_hydrated

say "two loop devices on one image see each other's blocks"
attach_loop "$FILE" --direct-io=on
FIRST=$LOOP
attach_loop "$FILE"
SECOND=$LOOP
write_both "$FIRST" $((12 << 20)) 65536
assert_same_range "$SECOND" "$T/expected" $((12 << 20)) 65536
write_both "$SECOND" $((13 << 20)) 65536
assert_same_range "$FIRST" "$T/expected" $((13 << 20)) 65536
assert_same_range "$FILE" "$T/expected" $((12 << 20)) $((2 << 20))
losetup -j "$FILE" | grep -c . >"$T/count"
assert_eq "$(cat "$T/count")" 2 "loop devices on the image"
detach_loop "$SECOND"

say "umount is refused while a loop device is there, and changes nothing"
! umount "$T/mnt" 2>"$T/logs/umount" || fail "umount took the image from under a loop device"
assert_contains "$(cat "$T/logs/umount")" "busy" "what umount says"
write_both "$FIRST" $((14 << 20)) 65536

say "a lazy umount leaves the device working; the daemon ends when it is detached"
pid=$(status_field pid)
umount -l "$T/mnt"
write_both "$FIRST" $((15 << 20)) 65536
blockdev --flushbufs "$FIRST"
assert_same_file "$FIRST" "$T/expected"
! process_is_gone "$pid" || fail "the daemon has ended under a loop device"
detach_loop "$FIRST"
wait_for 60 process_is_gone "$pid"
mount_clonefs "$URL/disk.raw"
assert_same_file "$FILE" "$T/expected"

say "partitions by partx"
remove_partitions() { partx --delete "$1" 2>/dev/null || true; }
attach_loop "$FILE" --direct-io=on
partx --add "$LOOP"
at_exit remove_partitions "$LOOP"
assert_eq "$(cat "/sys/block/${LOOP##*/}/${LOOP##*/}p2/size")" 32768 "sectors of the second partition"
wait_for 60 test -b "${LOOP}p2"
write_both "$LOOP" $((18432 * 512 + 4096)) 4096
assert_same_range <(dd if="${LOOP}p2" bs=64K count=16 iflag=direct status=none) \
	<(dd if="$T/expected" bs=512 skip=18432 count=2048 status=none) 0 $((1 << 20))
partx --delete "$LOOP"
detach_loop "$LOOP"

say "partitions by losetup -P"
attach_loop "$FILE" --partscan
if [[ -e /sys/block/${LOOP##*/}/${LOOP##*/}p1 ]]; then
	assert_eq "$(cat "/sys/block/${LOOP##*/}/${LOOP##*/}p2/size")" 32768 "sectors of the second partition"
else
	say "SKIPPED: this kernel reads no partition tables (losetup -P)"
fi
detach_loop "$LOOP"
umount_clonefs
assert_same_file "$T/state/mnt/disk.img" "$T/expected"
