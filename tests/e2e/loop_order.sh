#!/usr/bin/env bash
# A file system on a loop device, taken down in every wrong order, and SIGTERM to the daemon below it.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_tree "$T/old" 40 1
make_tree "$T/new" 40 2
make_filesystem_image "$T/www/disk.raw" 96M ext4 "$T/old"
start_range_server --ttfb-ms 2
FILE=$T/mnt/disk.raw

# up [OPTIONS]: clone, loop device, file system; sets PID.
up() {
	mount_clonefs "$URL/disk.raw" "$T/mnt" "no_hydration,${1:-}"
	PID=$(status_field pid)
	attach_loop "$FILE" --direct-io=on
	mount_device "$LOOP" "$T/top"
}
loop_is_free() { ! losetup -n -O BACK-FILE "$LOOP" 2>/dev/null | grep -q "$FILE"; }
clone_is_unmounted() { ! grep -q " $T/mnt fuse.clonefs " /proc/mounts; }
daemon_is_over() {
	wait_for 120 process_is_gone "$PID"
	"$CLONECTL" wait --exit --timeout 60s "$T/state/mnt"
}
# kept NAME: what was copied to there is in the file system after a new mount.
kept() {
	up
	same_tree "$T/new" "$T/top/$1"
	umount "$T/top"
	check_filesystem ext4 "$LOOP"
	detach_loop "$LOOP"
	umount_clonefs
}

say "the loop device is detached first: it goes when the file system does"
up
losetup -d "$LOOP"
! loop_is_free || fail "the loop device went away from under the file system"
cp -a "$T/new" "$T/top/detached"
sync -f "$T/top"
umount "$T/top"
wait_for 60 loop_is_free
umount_clonefs
kept detached

say "the clone is unmounted first: busy, and lazily"
up
! umount "$T/mnt" 2>"$T/logs/umount" || fail "umount took the image from under the file system"
umount -l "$T/mnt"
cp -a "$T/new" "$T/top/lazy"
umount "$T/top"
! process_is_gone "$PID" || fail "the daemon has ended under a loop device"
detach_loop "$LOOP"
daemon_is_over
kept lazy

say "the file system lazily, with a file open, then everything else"
up
exec 7>"$T/top/open"
umount -l "$T/top"
losetup -d "$LOOP"
umount -l "$T/mnt"
cp "$T/new/00/00/file-0" /dev/fd/7
! process_is_gone "$PID" || fail "the daemon has ended under an open file"
exec 7>&-
daemon_is_over
wait_for 60 loop_is_free
up
assert_same_file "$T/top/open" "$T/new/00/00/file-0"
umount "$T/top"
detach_loop "$LOOP"
umount_clonefs

say "SIGTERM: served until the loop device is gone"
up stop_timeout=10m
kill -TERM "$PID"
wait_for 60 clone_is_unmounted
cp -a "$T/new" "$T/top/terminated"
sync -f "$T/top"
same_tree "$T/new" "$T/top/terminated"
umount "$T/top"
! process_is_gone "$PID" || fail "the daemon has ended under a loop device"
detach_loop "$LOOP"
daemon_is_over
kept terminated

say "SIGTERM and stop_timeout over: errors, nobody hangs, what was synced is kept"
up stop_timeout=100ms
cp -a "$T/new" "$T/top/timeout"
sync -f "$T/top"
kill -TERM "$PID"
daemon_is_over
! dd if=/dev/zero of="$T/top/more" bs=64K count=4 conv=fsync status=none 2>"$T/logs/dd" ||
	fail "a file was synced without a daemon"
umount "$T/top"
detach_loop "$LOOP"
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration
attach_loop "$FILE"
status=0
e2fsck -p "$LOOP" >"$T/logs/e2fsck" 2>&1 || status=$?
((status <= 1)) || fail "e2fsck -p: $(cat "$T/logs/e2fsck")"
detach_loop "$LOOP"
umount_clonefs
kept timeout

say "a second SIGTERM: now"
up stop_timeout=10m
kill -TERM "$PID"
wait_for 60 clone_is_unmounted
kill -TERM "$PID"
daemon_is_over
umount "$T/top"
detach_loop "$LOOP"
