#!/usr/bin/env bash
# Images of any size with regions of any size: single bytes, no multiple of 512, a short last region,
# one region that is larger than everything. The destination ends as exactly the image.
. "$(dirname "$0")/lib.sh"

require_clonefs
start_range_server

# try_size SIZE REGION_SIZE SOURCE-PREFIX
try_size() {
	local size=$1 region=$2 point=$T/$1-$2 warnings=$T/logs/warnings name=$1.raw source=$3 last
	mount_clonefs "$source/$name" "$point" "region_size=$region,no_hydration" 2>"$warnings"
	if ((size % 512)); then
		assert_contains "$(cat "$warnings")" 512 "the warning about a size of $size"
	else
		assert_eq "$(cat "$warnings")" "" "warnings about a size of $size"
	fi
	assert_eq "$(stat -c %s "$point/$name")" "$size" "size"
	# The last byte alone, then the end overwritten: that covers a short last region.
	last=$(tail -c 1 "$point/$name" | od -An -tx1)
	assert_eq "$last" "$(tail -c 1 "$T/www/$name" | od -An -tx1)" "the last byte of $size"
	cp "$T/www/$name" "$T/expected"
	printf Z | dd of="$T/expected" bs=1 seek=$((size - 1)) conv=notrunc status=none
	printf Z | dd of="$point/$name" bs=1 seek=$((size - 1)) conv=notrunc,fsync status=none
	"$CLONECTL" resume "$point"
	wait_hydrated "$point"
	assert_same_file "$point/$name" "$T/expected"
	umount_clonefs "$point"
	assert_same_file "$T/state/$(basename "$point")/disk.img" "$T/expected"
	"$CLONECTL" check "$T/state/$(basename "$point")/metadata" >/dev/null ||
		fail "the metadata of $size, $region is damaged"
	rm -rf "$T/state/$(basename "$point")"
}

for size in 1 511 513 4097 65537 3000001; do
	make_image "$T/www/$size.raw" "$size" "$size"
	for region in 4K 64K 1G; do
		say "$size bytes, regions of $region"
		try_size "$size" "$region" "$URL"
	done
	try_size "$size" 1M "$T/www"
done

say "a short last region is covered by a write to the end: no fetch"
mount_clonefs "$URL/3000001.raw" "$T/mnt" no_hydration 2>/dev/null
start=$((3000001 / 65536 * 65536))
server_mark
head -c $((3000001 - start)) /dev/zero |
	dd of="$(image_of "$T/mnt" 3000001.raw)" oflag=seek_bytes seek="$start" bs=64K conv=notrunc,fsync \
		iflag=fullblock status=none
assert_eq "$(server_count)" 0 "requests for a region that was overwritten"
assert_eq "$(committed_ranges "$(metadata_of)" | tail -n 1)" "$((start / 65536)) $((start / 65536))" \
	"the last committed region"
umount_clonefs

say "a region of 1 GiB comes in several requests, the reader's piece first"
truncate -s 1073742337 "$T/www/large.raw" # 1 GiB + 513
dd if="$T/www/3000001.raw" of="$T/www/large.raw" bs=64K seek=10000 conv=notrunc status=none
dd if="$T/www/3000001.raw" of="$T/www/large.raw" bs=1 count=600 seek=1073741700 conv=notrunc status=none
touch -d '2020-09-13 12:26:40 UTC' "$T/www/large.raw"
mount_clonefs "$URL/large.raw" "$T/mnt" \
	"region_size=1G,no_hydration,state_dir=$T/state/large" 2>/dev/null
server_control '{"rate":262144}' >/dev/null
server_mark
assert_same_range "$(image_of "$T/mnt" large.raw)" "$T/www/large.raw" 655360000 4096
assert_eq "$(status_field regions_hydrated)" 0 "regions there when the reader has its answer"
server_control '{"rate":0}' >/dev/null
"$CLONECTL" resume "$T/mnt"
wait_hydrated
(($(server_count) >= 16)) || fail "1 GiB came in $(server_count) requests"
assert_same_file "$(image_of "$T/mnt" large.raw)" "$T/www/large.raw"
umount_clonefs "$T/mnt" "$T/state/large"
