#!/usr/bin/env bash
# A file system on a loop device whose clone loses its source, and one whose destination is full: errors instead
# of wrong bytes, nobody hangs, and when the trouble is over it goes on and is clean.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_tree "$T/old" 300 1
make_tree "$T/new" 60 2
make_filesystem_image "$T/www/disk.raw" 128M ext4 "$T/old"
start_range_server
FILE=$T/mnt/disk.raw

say "the source goes away: what is here works, the rest is an error, and comes back with it"
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration,timeout=1s
attach_loop "$FILE" --direct-io=on
# Only reading shall fail, so nothing is written for it.
mount_device "$LOOP" "$T/top" -o errors=continue,noatime
fstrim "$T/top"
cp -a "$T/new" "$T/top/before"
sync -f "$T/top"
missing=$(($(status_field regions_total) - $(status_field regions_hydrated)))
say "$missing regions are missing"
((missing > 50)) || fail "too few regions are missing for this test"
server_fault status '"status":503'
same_tree "$T/new" "$T/top/before"
! diff -r --exclude=lost+found --exclude=before "$T/old" "$T/top" >"$T/logs/diff" 2>&1 ||
	fail "everything could be read without a source"
assert_contains "$(cat "$T/logs/diff")" "Input/output error" "what readers hear"
! grep -q '^Binary files' "$T/logs/diff" || fail "wrong bytes: $(grep '^Binary files' "$T/logs/diff")"
assert_eq "$(status_field source_state)" unreachable "source_state"
assert_eq "$(status_field mode)" rw "mode"
server_fault ''
"$CLONECTL" resume "$T/mnt"
wait_for 60 status_is source_state ok
# Blocks that failed are asked for again once the loop device's and ext4's caches have forgotten them.
umount "$T/top"
check_filesystem ext4 "$LOOP"
mount_device "$LOOP" "$T/top"
same_tree "$T/new" "$T/top/before"
rm -r "$T/top/before"
same_tree "$T/old" "$T/top"
umount "$T/top"
detach_loop "$LOOP"
umount_clonefs

say "the destination is full"
mkdir "$T/small"
mount -t tmpfs -o size=24M small "$T/small"
at_exit unmount_if_mounted "$T/small"
mount_clonefs "$URL/disk.raw" "$T/mnt2" "dest=$T/small/disk.img,no_hydration"
attach_loop "$T/mnt2/disk.raw" --direct-io=on
mount_device "$LOOP" "$T/top" -o errors=continue
status=0
cp -a "$T/new" "$T/top/full-1" 2>"$T/logs/cp" || status=$?
for ((i = 2; i <= 8; i++)); do
	dd if=/dev/urandom of="$T/top/full-$i.data" bs=1M count=8 conv=fsync status=none 2>>"$T/logs/cp" || status=$?
done
((status != 0)) || fail "more fits into the destination than it has"
assert_eq "$(status_field mode "$T/mnt2")" rw "mode with a full destination"
diff -r --exclude=lost+found --exclude='full-*' "$T/old" "$T/top" >"$T/logs/diff" 2>&1 || true
! grep -q '^Binary files' "$T/logs/diff" || fail "wrong bytes: $(grep '^Binary files' "$T/logs/diff")"
umount "$T/top"

say "there is room again: repaired, used, clean"
mount -o remount,size=256M "$T/small"
status=0
e2fsck -fy "$LOOP" >"$T/logs/e2fsck" 2>&1 || status=$?
((status <= 1)) || fail "e2fsck: $(tail -n 5 "$T/logs/e2fsck")"
check_filesystem ext4 "$LOOP"
mount_device "$LOOP" "$T/top"
rm -rf "$T"/top/full-*
cp -a "$T/new" "$T/top/after"
sync -f "$T/top"
same_tree "$T/new" "$T/top/after"
rm -r "$T/top/after"
same_tree "$T/old" "$T/top"
umount "$T/top"
detach_loop "$LOOP"
"$CLONECTL" resume "$T/mnt2"
wait_hydrated "$T/mnt2"
umount_clonefs "$T/mnt2"
check_filesystem ext4 "$T/small/disk.img"
