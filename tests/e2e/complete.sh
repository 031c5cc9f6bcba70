#!/usr/bin/env bash
# After 100 % the source is not needed: the server is stopped and everything still reads, the
# destination is the plain image, and mounting again does not contact the source.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/disk.raw" 50M
SUM=$(sha256_of "$T/www/disk.raw")
start_range_server
mount_clonefs "$URL/disk.raw"
wait_hydrated
assert_eq "$(status_field eta_seconds)" null "eta_seconds of a complete clone"
umount_clonefs
assert_eq "$(sha256_of "$(state_dir_of)/disk.img")" "$SUM" "sha256 of the destination"

say "mounted again beside a server that would answer"
wait_for 60 server_is_idle
server_mark
mount_clonefs "$URL/disk.raw"
assert_eq "$(status_field source_state)" unused "source_state"
assert_eq "$(status_field hydration)" "done" "hydration"
assert_eq "$(status_field requests)" 0 "requests in the status"
printf changed | dd of="$(image_of)" bs=1 seek=12345 conv=notrunc,fsync status=none
dd if="$(state_dir_of)/disk.img" bs=1 skip=12345 count=7 of="$T/part" status=none
assert_eq "$(cat "$T/part")" changed "what was written"
dd if="$T/www/disk.raw" bs=1 skip=12345 count=7 status=none |
	dd of="$(image_of)" bs=1 seek=12345 conv=notrunc,fsync status=none
assert_eq "$(server_count)" 0 "requests at the server"

say "the server is stopped while it is mounted"
stop_server
drop_cached "$(image_of)"
assert_eq "$(sha256_of "$(image_of)")" "$SUM" "sha256 of the image without a server"
umount_clonefs

say "and before it is mounted"
mount_clonefs "$URL/disk.raw"
assert_eq "$(sha256_of "$(image_of)")" "$SUM" "sha256 of the image mounted again"
umount_clonefs
assert_eq "$(sha256_of "$(state_dir_of)/disk.img")" "$SUM" "sha256 of the destination"
