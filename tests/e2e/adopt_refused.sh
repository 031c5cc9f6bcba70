#!/usr/bin/env bash
# metadata= and dest= of an earlier clone are taken over only when they fit; every refusal is one sentence that
# names what was found and expected, and changes nothing.
. "$(dirname "$0")/lib.sh"

require_clonefs
SIZE=$((4 << 20))
make_image "$T/www/disk.raw" 4M 1
make_image "$T/www/longer.raw" 5M 1
start_range_server
FILE=$T/mnt/disk.raw

say "what an earlier clonefs left"
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration,region_size=128K
head -c 1M "$FILE" >"$T/read"
printf 'mine' | dd of="$FILE" bs=1 seek=3000000 conv=notrunc status=none
cp "$T/www/disk.raw" "$T/expected"
printf 'mine' | dd of="$T/expected" bs=1 seek=3000000 conv=notrunc status=none
umount_clonefs
hydrated=$("$CLONECTL" dump --json "$T/state/mnt/metadata" | jq .hydrated)
mkdir "$T/left"
mv "$T/state/mnt/metadata" "$T/state/mnt/disk.img" "$T/left/"
rm -r "$T/state/mnt"
cp "$T/left/metadata" "$T/left/disk.img" "$T/"

# bytes_of FILE...: a checksum of those that are there.
bytes_of() {
	{ cat "$@" 2>/dev/null || true; } | sha256sum
}
# refused PART METADATA DESTINATION [OPTIONS] [SOURCE]: with nothing changed or left behind.
refused() {
	local part=$1 metadata=$2 destination=$3 options=${4:-} before after
	before=$(bytes_of "$metadata" "$destination")
	mount_refused 1 "$part" "${5:-$URL/disk.raw}" "$T/mnt" \
		"metadata=$metadata${destination:+,dest=$destination}${options:+,$options}"
	after=$(bytes_of "$metadata" "$destination")
	assert_eq "$after" "$before" "checksum of metadata and destination after the refusal"
	[[ ! -e $T/state/mnt ]] || fail "the refused mount has left $(find "$T/state/mnt")"
}
# broken NAME BLOCK: a copy of the metadata with one byte changed in that block.
broken() {
	cp "$T/metadata" "$T/$1"
	printf '\xff' | dd of="$T/$1" bs=1 seek=$(($2 * 4096 + 1000)) conv=notrunc status=none
}

say "refusals"
refused "metadata $T/metadata shows $hydrated hydrated regions: give the destination that they are in with dest=" \
	"$T/metadata" ""
refused "destination $T/none is missing, and metadata $T/metadata is that of a clone" "$T/metadata" "$T/none"
refused "metadata $T/metadata is of a clone of 8192 sectors, the source has 10240" \
	"$T/metadata" "$T/disk.img" "" "$URL/longer.raw"
refused "metadata $T/metadata is of a clone with regions of 131072 bytes, found region_size=65536" \
	"$T/metadata" "$T/disk.img" region_size=64K
head -c 1000000 "$T/disk.img" >"$T/short"
refused "destination $T/short has 1000000 bytes, the image needs $SIZE" "$T/metadata" "$T/short"
broken superblock 0
refused "metadata $T/superblock is neither zeroed nor valid: " "$T/superblock" "$T/disk.img"
damaged=$("$CLONECTL" dump --json "$T/metadata" | jq .metadata_blocks_used)
for ((block = 1; block < damaged; block++)); do
	broken block-$block $block
	"$CLONECTL" check "$T/block-$block" >"$T/logs/check" && continue
	refused "block $block: " "$T/block-$block" "$T/disk.img"
done
cp "$T/metadata" "$T/beheaded"
dd if=/dev/zero of="$T/beheaded" bs=4096 count=1 conv=notrunc status=none
refused "destination $T/disk.img holds data already" "$T/beheaded" "$T/disk.img"
head -c 1M /dev/urandom >"$T/other"
cp "$T/other" "$T/foreign"
dd if=/dev/zero of="$T/foreign" bs=4096 count=1 conv=notrunc status=none
refused "metadata $T/foreign is not zeroed, though its first block is" "$T/foreign" "$T/disk.img"
refused "metadata $T/other is neither zeroed nor valid: " "$T/other" "$T/disk.img"
refused "/dev/null is neither a regular file nor a block device" /dev/null "$T/disk.img"
refused "are the same file" "$T/metadata" "$T/metadata"
truncate -s 8192 "$T/tiny"
refused "metadata $T/tiny has 8192 bytes, a clone of this size needs " "$T/tiny" "$T/new"

say "a destination that holds data, and metadata that shows nothing: only with overwrite_dest"
truncate -s 1M "$T/fresh"
refused "destination $T/disk.img holds data already" "$T/fresh" "$T/disk.img"

say "metadata in the state folder without clone.json is not begun again"
mkdir -p "$T/state/mnt"
cp "$T/metadata" "$T/disk.img" "$T/state/mnt/"
mount_refused 1 "there is no clone.json beside it" "$URL/disk.raw"
assert_same_file "$T/state/mnt/metadata" "$T/left/metadata"
assert_same_file "$T/state/mnt/disk.img" "$T/left/disk.img"
rm -r "$T/state/mnt"

say "adopted, with its own region size; in use while it is"
mount_clonefs "$URL/disk.raw" "$T/mnt" "metadata=$T/metadata,dest=$T/disk.img,no_hydration"
assert_eq "$(status_field region_size)" 131072 "region size"
assert_eq "$(status_field regions_hydrated)" "$hydrated" "regions hydrated"
assert_eq "$(status_field modified)" true "modified"
[[ -e $T/state/mnt/modified ]] || fail "there is no file modified"
for part in metadata dest; do
	file=$T/metadata
	[[ $part = metadata ]] || file=$T/disk.img
	mount_refused 1 "$file is in use by process $(status_field pid)" "$URL/disk.raw" "$T/mnt2" "$part=$file"
done
"$CLONECTL" resume "$T/mnt"
wait_hydrated
assert_same_file "$FILE" "$T/expected"
umount_clonefs
assert_same_file "$T/disk.img" "$T/expected"
"$CLONECTL" check "$T/metadata" >"$T/logs/check"

say "and then it is the clone's own: other places are refused"
mount_refused 1 "dest=$T/left/disk.img is not what this clone was made with: expected $T/disk.img" \
	"$URL/disk.raw" "$T/mnt" "dest=$T/left/disk.img"
mount_refused 1 "metadata=$T/left/metadata is not what this clone was made with: expected $T/metadata" \
	"$URL/disk.raw" "$T/mnt" "metadata=$T/left/metadata"
mv "$T/disk.img" "$T/elsewhere"
mount_refused 1 "destination $T/disk.img is missing" "$URL/disk.raw"
truncate -s 1000 "$T/disk.img"
mount_refused 1 "destination $T/disk.img has 1000 bytes, expected $SIZE" "$URL/disk.raw"
mv "$T/elsewhere" "$T/disk.img"
mv "$T/metadata" "$T/elsewhere"
mount_refused 1 "metadata $T/metadata is missing" "$URL/disk.raw"
truncate -s 1M "$T/metadata"
mount_refused 1 "metadata $T/metadata begins with zeros, expected the metadata of this clone" "$URL/disk.raw"
mv "$T/elsewhere" "$T/metadata"
mount_clonefs "$URL/disk.raw"
assert_same_file "$FILE" "$T/expected"
umount_clonefs
