#!/usr/bin/env bash
# A regular file as mountpoint becomes the image itself; it has its size at once, also for mmap.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/disk.raw" 2M 1
start_range_server
POINT=$T/point
echo underneath >"$POINT"

mount_clonefs "$URL/disk.raw" "$POINT"
python3 - "$POINT" "$T/www/disk.raw" <<'END'
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
expected = open(sys.argv[2], 'rb').read()
shared = mmap.mmap(fd, len(expected))  # before any stat
assert shared[:] == expected
os.pwrite(fd, b'new', 5)
os.fsync(fd)
assert shared[5:8] == b'new'
END
assert_eq "$(stat -c '%F %a %s' "$POINT")" "regular file 600 2097152" "attributes"
assert_eq "$(status_field image "$POINT")" "$POINT" "image in the status"
cp "$T/www/disk.raw" "$T/expected"
printf new | dd of="$T/expected" conv=notrunc bs=1 seek=5 status=none
assert_same_file "$POINT" "$T/expected"
kill_daemon "$POINT"
mount_clonefs "$URL/disk.raw" "$POINT" offline
umount_clonefs "$POINT"
assert_eq "$(cat "$POINT")" underneath "the file underneath"
