#!/usr/bin/env bash
# Runs of zeros from the source become holes of the destination, whatever was in it before.
. "$(dirname "$0")/lib.sh"

require_clonefs
SIZE=$(((24 << 20) + 12345))

# Random bytes with runs of zeros: large and aligned, odd, small, at the very end.
make_image "$T/www/disk.raw" 24M 1
truncate -s $SIZE "$T/www/disk.raw"
put_zeros "$T/www/disk.raw" $((1 << 20)) $((6 << 20))
put_zeros "$T/www/disk.raw" $(((8 << 20) + 777)) $((3 << 20))
put_zeros "$T/www/disk.raw" $((12 << 20)) 4096
put_zeros "$T/www/disk.raw" $((13 << 20)) 65536
put_zeros "$T/www/disk.raw" $((20 << 20)) $((SIZE - (20 << 20)))
fallocate --dig-holes "$T/www/disk.raw"
touch -d '2020-09-13 12:26:40 UTC' "$T/www/disk.raw"
start_range_server

# assert_sparse FILE: no more is allocated than in the source with its holes dug, within a region an edge.
assert_sparse() {
	local limit
	limit=$(($(allocated_bytes "$T/www/disk.raw") + 8 * 65536))
	(($(allocated_bytes "$1") <= limit)) ||
		fail "$1: $(allocated_bytes "$1") bytes are allocated, expected at most $limit"
}

say "over HTTP"
mount_clonefs "$URL/disk.raw"
wait_hydrated
umount_clonefs
assert_same_file "$T/state/mnt/disk.img" "$T/www/disk.raw"
assert_sparse "$T/state/mnt/disk.img"

say "from a file with holes"
mount_clonefs "$T/www/disk.raw" "$T/mnt2"
wait_hydrated "$T/mnt2"
umount_clonefs "$T/mnt2"
assert_same_file "$T/state/mnt2/disk.img" "$T/www/disk.raw"
assert_sparse "$T/state/mnt2/disk.img"

say "regions of 4 KiB and of 1 MiB"
for region in 4K 1M; do
	mount_clonefs "$URL/disk.raw" "$T/mnt-$region" "region_size=$region"
	wait_hydrated "$T/mnt-$region"
	umount_clonefs "$T/mnt-$region"
	assert_same_file "$T/state/mnt-$region/disk.img" "$T/www/disk.raw"
done
assert_sparse "$T/state/mnt-4K/disk.img"

say "a destination full of other bytes: zeros are never left out"
make_image "$T/garbage" 24M 99
truncate -s $SIZE "$T/garbage"
mount_refused 1 "overwrite_dest" "$URL/disk.raw" "$T/mnt3" "dest=$T/garbage"
mount_clonefs "$URL/disk.raw" "$T/mnt3" "dest=$T/garbage,overwrite_dest"
wait_hydrated "$T/mnt3"
umount_clonefs "$T/mnt3"
assert_same_file "$T/garbage" "$T/www/disk.raw"
assert_sparse "$T/garbage"

say "with no_discard_passdown they are written"
cp --sparse=never "$T/www/disk.raw" "$T/other"
make_image "$T/other" 24M 98
truncate -s $SIZE "$T/other"
mount_clonefs "$URL/disk.raw" "$T/mnt4" "dest=$T/other,overwrite_dest,no_discard_passdown"
wait_hydrated "$T/mnt4"
umount_clonefs "$T/mnt4"
assert_same_file "$T/other" "$T/www/disk.raw"
