#!/usr/bin/env bash
# A local source on the destination's own xfs or btrfs: background shares its blocks instead of copying
# them. On ext4, and from another file system, it copies.
. "$(dirname "$0")/lib.sh"

require_clonefs
SIZE=$(((48 << 20) + 123))
make_image "$T/www/disk.raw" 49M 1
truncate -s $SIZE "$T/www/disk.raw"
put_zeros "$T/www/disk.raw" $((8 << 20)) $((4 << 20))
touch -d '2020-09-13 12:26:40 UTC' "$T/www/disk.raw"
make_image "$T/garbage" 49M 9
truncate -s $SIZE "$T/garbage"
FILE=$T/mnt/disk.raw

# make_place TYPE: a file system on a loop device with the source, and a destination full of garbage.
make_place() {
	PLACE=$T/$1
	truncate -s 360M "$T/$1.img"
	format "$1" "$T/$1.img"
	mount_device "$T/$1.img" "$PLACE" -o loop
	# Holes where the zeros are.
	cp --sparse=always --reflink=never --preserve=timestamps "$T/www/disk.raw" "$PLACE/disk.raw"
	cp --reflink=never "$T/garbage" "$PLACE/destination"
	sync -f "$PLACE"
}

# mount_there SOURCE [OPTIONS]
mount_there() {
	mount_clonefs "$1" "$T/mnt" \
		"state_dir=$PLACE/state,dest=$PLACE/destination,overwrite_dest,${2:-}"
}

umount_there() {
	umount_clonefs "$T/mnt" "$PLACE/state"
}

begin_anew() {
	rm -r "$PLACE/state"
	cp --reflink=never "$T/garbage" "$PLACE/destination"
	sync -f "$PLACE"
}

# extents FILE [shared]: how many its file system has, or how many of them are shared.
extents() {
	filefrag -v "$1" | grep -E '^ *[0-9]+:' | grep -c "${2:-}" || true
}

# hydrate SOURCE [OPTIONS]: a clone that is complete.
hydrate() {
	mount_there "$@"
	wait_hydrated
}

check_sharing() {
	say "$1: everything is shared"
	make_place "$1"
	hydrate "$PLACE/disk.raw"
	assert_eq "$(status_field bytes_from_source)" 0 "bytes read from the source"
	assert_same_file "$FILE" "$T/www/disk.raw"
	umount_there
	assert_eq "$(extents "$PLACE/destination" shared)" "$(extents "$PLACE/destination")" \
		"shared extents"
	assert_same_file "$PLACE/destination" "$T/www/disk.raw"

	say "$1: what is written is the image's own, and lasts"
	mount_there "$PLACE/disk.raw"
	cp --reflink=never "$T/www/disk.raw" "$T/mine"
	for file in "$FILE" "$T/mine"; do
		dd if="$T/garbage" of="$file" bs=100000 count=3 seek=1000001 oflag=seek_bytes \
			conv=notrunc,fsync status=none
	done
	fallocate --length $SIZE "$FILE"
	kill_daemon
	mount_there "$PLACE/disk.raw"
	assert_same_file "$FILE" "$T/mine"
	umount_there
	# btrfs reserves nothing for blocks that are copied on write.
	[[ $1 != xfs ]] || assert_eq "$(extents "$PLACE/destination" shared)" 0 \
		"extents shared after all was reserved"
	assert_same_file "$PLACE/disk.raw" "$T/www/disk.raw"

	say "$1: copied for who wants space of his own"
	begin_anew
	hydrate "$PLACE/disk.raw" no_discard_passdown
	assert_eq "$(status_field bytes_from_source)" $SIZE "bytes read from the source"
	umount_there
	assert_eq "$(extents "$PLACE/destination" shared)" 0 "shared extents"

	say "$1: another version is not taken"
	begin_anew
	mount_there "$PLACE/disk.raw" no_hydration
	touch "$PLACE/disk.raw"
	"$CLONECTL" resume "$T/mnt"
	wait_for 60 status_is source_state changed
	assert_eq "$(status_field regions_hydrated)" 0 "regions of another version"
	touch -r "$T/www/disk.raw" "$PLACE/disk.raw"
	"$CLONECTL" resume "$T/mnt"
	wait_hydrated
	assert_same_file "$FILE" "$T/www/disk.raw"
	umount_there
}

check_copying() {
	say "$1"
	hydrate "$2"
	assert_eq "$(status_field bytes_from_source)" $SIZE "bytes read from the source"
	assert_same_file "$FILE" "$T/www/disk.raw"
	umount_there
	assert_same_file "$PLACE/destination" "$T/www/disk.raw"
}

make_place ext4
check_copying "ext4 shares nothing" "$PLACE/disk.raw"
for type in xfs btrfs; do
	if kernel_has_filesystem "$type"; then
		check_sharing "$type"
		begin_anew
		check_copying "$type shares nothing with another file system" "$T/www/disk.raw"
	else
		say "SKIPPED: this kernel has no $type"
	fi
done
