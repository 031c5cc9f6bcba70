#!/usr/bin/env bash
# Block devices as destination, as metadata and as source: the same life as with files.
. "$(dirname "$0")/lib.sh"

require_clonefs
SIZE=$(((6 << 20) + 300))
make_image "$T/www/disk.raw" 8M 1
truncate -s $SIZE "$T/www/disk.raw"
put_zeros "$T/www/disk.raw" $((2 << 20)) $((1 << 20))
touch -d '2020-09-13 12:26:40 UTC' "$T/www/disk.raw"
cp "$T/www/disk.raw" "$T/expected"
start_range_server
FILE=$T/mnt/disk.raw

# make_device NAME SIZE [losetup options]: a loop device on a file of that size; sets LOOP.
make_device() {
	local name=$1
	truncate -s "$2" "$T/$name"
	shift 2
	attach_loop "$T/$name" "$@"
}

# The destination is larger than the image and was used before.
make_image "$T/destination" 8M 9
cp "$T/destination" "$T/again"
make_device destination 8M
DESTINATION=$LOOP
make_device metadata 1M
METADATA=$LOOP
make_device small 4M
SMALL=$LOOP
make_device tiny 16K
TINY=$LOOP

say "refusals: used, too small, the same twice"
PLACES=dest=$DESTINATION,metadata=$METADATA
mount_refused 1 "destination $DESTINATION holds data already" "$URL/disk.raw" "$T/mnt" "$PLACES"
mount_refused 1 "destination $SMALL has 4194304 bytes, the image needs 6291968" \
	"$URL/disk.raw" "$T/mnt" "dest=$SMALL,metadata=$METADATA,overwrite_dest"
mount_refused 1 "metadata $TINY has 16384 bytes, a clone of this size needs " \
	"$URL/disk.raw" "$T/mnt" "dest=$DESTINATION,metadata=$TINY,overwrite_dest"
mount_refused 1 "are the same file" \
	"$URL/disk.raw" "$T/mnt" "dest=$DESTINATION,metadata=$DESTINATION,overwrite_dest"
assert_same_file "$T/destination" "$T/again"
[[ ! -e $T/state/mnt ]] || fail "a refused mount leaves a state folder"

say "a clone on two devices"
mount_clonefs "$URL/disk.raw" "$T/mnt" "$PLACES,overwrite_dest,no_hydration"
assert_eq "$(status_field destination)" "$DESTINATION" "destination"
assert_eq "$(status_field metadata)" "$METADATA" "metadata"
dd if=/dev/urandom of="$T/new" bs=100000 count=3 status=none
for file in "$FILE" "$T/expected"; do
	dd if="$T/new" of="$file" bs=100000 seek=1000001 oflag=seek_bytes conv=notrunc,fsync status=none
done
server_mark
punch "$FILE" $((4 << 20)) $((1 << 20))
zero_range "$FILE" $((5 << 20)) 65536
put_zeros "$T/expected" $((4 << 20)) $(((1 << 20) + 65536))
assert_eq "$(server_count)" 0 "requests of punch and zero-range"
assert_same_file "$FILE" "$T/expected"

say "discards reach what is below the device"
assert_eq "$(seek_in "$T/destination" hole $((4 << 20)))" $((4 << 20)) "the hole below the punched range"
assert_eq "$(seek_in "$T/destination" data $((4 << 20)))" $(((5 << 20) + 65536)) "data behind the hole"

say "who has a device, has it alone"
mount_refused 1 "destination $DESTINATION is in use" "$URL/disk.raw" "$T/mnt2" \
	"dest=$DESTINATION,overwrite_dest"
mount_refused 1 "metadata $METADATA is in use" "$URL/disk.raw" "$T/mnt2" "metadata=$METADATA"

say "a device knows no holes: all is data"
assert_eq "$(seek_in "$FILE" hole 0)" $SIZE "the first hole"
assert_eq "$(seek_in "$FILE" data $((4 << 20)))" $((4 << 20)) "data in what was punched"
(($(stat -c %b "$FILE") >= SIZE / 512)) || fail "blocks of the image: $(stat -c %b "$FILE")"

say "killed and mounted again"
"$CLONECTL" flush "$T/mnt"
kill_daemon
mount_clonefs "$URL/disk.raw" "$T/mnt"
wait_hydrated
assert_same_file "$FILE" "$T/expected"
umount_clonefs
"$CLONECTL" check "$METADATA" >"$T/logs/check"
assert_same_range "$DESTINATION" "$T/expected" 0 $SIZE
assert_same_range "$T/destination" "$T/expected" 0 $SIZE
cmp -i $SIZE:0 -n 212 "$DESTINATION" /dev/zero || fail "the last sector is not zero behind the image"
assert_same_range "$DESTINATION" "$T/again" $((SIZE + 212)) $(((8 << 20) - SIZE - 212))
[[ ! -e $T/state/mnt/disk.img && ! -e $T/state/mnt/metadata ]] || fail "files beside the devices"

say "complete: the source is not asked"
server_mark
mount_clonefs "$URL/disk.raw"
assert_same_file "$FILE" "$T/expected"
assert_eq "$(status_field source_state)" unused "source_state"
assert_eq "$(server_count)" 0 "requests of a complete clone"
umount_clonefs

say "a metadata device that was zeroed is not begun again"
dd if=/dev/zero of="$METADATA" bs=4096 count=1 conv=fsync status=none
mount_refused 1 "begins with zeros" "$URL/disk.raw" "$T/mnt"

say "a block device as source"
make_image "$T/source" 8M 5
make_device source 8M --read-only
SOURCE=$LOOP
text=$(mount_clonefs "$SOURCE" "$T/mnt3" 2>&1)
at_exit unmount_clone_at_exit "$T/mnt3"
assert_contains "$text" "is a block device" "what is said about it"
assert_eq "$(stat -c %s "$T/mnt3/${SOURCE##*/}")" $((8 << 20)) "size"
wait_hydrated "$T/mnt3"
assert_same_file "$T/mnt3/${SOURCE##*/}" "$T/source"
dd if=/dev/zero of="$T/mnt3/${SOURCE##*/}" bs=1M count=1 conv=notrunc,fsync status=none
assert_same_file "$SOURCE" "$T/source"
umount_clonefs "$T/mnt3"
mount_refused 1 "is the source itself" "$SOURCE" "$T/mnt4" "dest=$SOURCE,overwrite_dest"
