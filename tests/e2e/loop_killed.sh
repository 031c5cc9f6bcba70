#!/usr/bin/env bash
# The daemon is killed with -9 under a mounted file system: nobody hangs, and after a new mount all that was
# synced is there.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_tree "$T/old" 60 1
make_tree "$T/new" 60 2
make_filesystem_image "$T/www/disk.raw" 128M ext4 "$T/old"
start_range_server --ttfb-ms 2
FILE=$T/mnt/disk.raw

for round in 1 2 3; do
	say "round $round: written, synced, killed"
	mount_clonefs "$URL/disk.raw" "$T/mnt" background_rate=2M
	attach_loop "$FILE" --direct-io=on
	mount_device "$LOOP" "$T/top"
	cp -a "$T/new" "$T/top/new-$round"
	sync -f "$T/top"
	cp -a "$T/new" "$T/top/unsynced-$round" &
	copier=$!
	kill_daemon
	wait "$copier" || true
	! dd if=/dev/zero of="$T/top/more" bs=64K count=4 conv=fsync status=none 2>"$T/logs/dd" ||
		fail "a file was synced without a daemon"
	umount "$T/top"
	detach_loop "$LOOP"

	say "round $round: mounted again: the journal is replayed, nothing that was synced is missing"
	mount_clonefs "$URL/disk.raw" "$T/mnt" background_rate=2M
	attach_loop "$FILE" --direct-io=on
	status=0
	e2fsck -p "$LOOP" >"$T/logs/e2fsck" 2>&1 || status=$?
	((status <= 1)) || fail "e2fsck -p: $(cat "$T/logs/e2fsck")"
	check_filesystem ext4 "$LOOP"
	mount_device "$LOOP" "$T/top" -o ro
	for ((i = 1; i <= round; i++)); do
		same_tree "$T/new" "$T/top/new-$i"
	done
	umount "$T/top"
	detach_loop "$LOOP"
	umount_clonefs
done

say "hydrated to the end, the old files are there too"
mount_clonefs "$URL/disk.raw"
wait_hydrated
umount_clonefs
mount_device "$T/state/mnt/disk.img" "$T/top" -o loop,ro
rm -rf "$T/shown"
mkdir "$T/shown"
cp -a "$T"/top/[0-9]* "$T/shown/"
same_tree "$T/old" "$T/shown"
umount "$T/top"
