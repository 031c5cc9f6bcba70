#!/usr/bin/env bash
# SIGTERM while a file system is mounted on a loop device on the image: it goes on working until it
# is unmounted, and is clean afterwards. Also: detached and unmounted in the wrong order.
. "$(dirname "$0")/lib.sh"

require_clonefs
need_program mkfs.ext4 e2fsprogs
truncate -s 64M "$T/www/disk.raw"
mkfs.ext4 -q -F "$T/www/disk.raw"
touch -d '2020-09-13 12:26:40 UTC' "$T/www/disk.raw"
start_range_server

mount_clonefs "$URL/disk.raw" "$T/mnt" stop_timeout=10m
PID=$(status_field pid)
attach_loop "$T/mnt/disk.raw"
mount_device "$LOOP" "$T/fs"
head -c 1000000 /dev/urandom >"$T/data"
cp "$T/data" "$T/fs/before"

say "SIGTERM"
kill -TERM "$PID"
not_mounted() { ! grep -q " $T/mnt fuse.clonefs " /proc/mounts; }
wait_for 60 not_mounted
cp "$T/data" "$T/fs/after"
sync -f "$T/fs/after"
! process_is_gone "$PID" || fail "the daemon has not waited for the loop device"
umount "$T/fs"
losetup -d "$LOOP"
wait_for 120 process_is_gone "$PID"

say "umount in the wrong order"
mount_clonefs "$URL/disk.raw" "$T/mnt"
PID=$(status_field pid)
attach_loop "$T/mnt/disk.raw" --direct-io=on
e2fsck -fn "$LOOP" >"$T/logs/e2fsck" || fail "the file system is damaged"
mount_device "$LOOP" "$T/fs"
assert_same_file "$T/fs/before" "$T/data"
assert_same_file "$T/fs/after" "$T/data"
! umount "$T/mnt" 2>/dev/null || fail "the image could be unmounted below a loop device"
umount -l "$T/mnt"
losetup -d "$LOOP" # in use: it goes with the last user
rm "$T/fs/before"
umount "$T/fs"
wait_for 120 process_is_gone "$PID"
"$CLONECTL" wait --exit --timeout 60s "$T/state/mnt"
e2fsck -fn "$T/state/mnt/disk.img" >"$T/logs/e2fsck" || fail "the destination is damaged"
