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
stop_server
drop_cached "$(image_of)"
assert_eq "$(sha256_of "$(image_of)")" "$SUM" "sha256 of the image without a server"
umount_clonefs
assert_eq "$(sha256_of "$(state_dir_of)/disk.img")" "$SUM" "sha256 of the destination"

say "without a server at that address"
mount_clonefs "$URL/disk.raw"
assert_eq "$(status_field source_state)" unused "source_state"
assert_eq "$(status_field hydration)" "done" "hydration"
assert_eq "$(sha256_of "$(image_of)")" "$SUM" "sha256 of the image mounted again"
printf changed | dd of="$(image_of)" bs=1 seek=12345 conv=notrunc,fsync status=none
umount_clonefs

say "with one: it is not asked"
start_range_server --port "${URL##*:}"
mount_clonefs "$URL/disk.raw"
dd if="$(image_of)" bs=1 skip=12345 count=7 of="$T/part" status=none
assert_eq "$(cat "$T/part")" changed "what was written"
assert_eq "$(status_field requests)" 0 "requests in the status"
umount_clonefs
assert_eq "$(server_count)" 0 "requests at the server"
