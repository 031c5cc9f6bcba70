#!/usr/bin/env bash
# All of /usr/share is copied into ext4 on a loop device on a cold clone that hydrates; synced, trimmed, unmounted:
# clean, and at the end the destination itself mounts and compares.
. "$(dirname "$0")/lib.sh"

require_clonefs
top=$T/top
used=$(du -s --block-size=1M --apparent-size /usr/share | cut -f 1)
files=$(find /usr/share -xdev | wc -l)
size=$((used * 3 / 2 + 8 * files / 1024 + 128))
# Random bytes in what the file system does not use, a tree in it that is not touched.
make_tree "$T/old" 200 1
make_filesystem_image "$T/www/disk.raw" "${size}M" ext4 "$T/old"
start_range_server --ttfb-ms 2

say "$used MiB, $files files into ext4 of $size MiB"
mount_clonefs "$URL/disk.raw" "$T/mnt" background_rate=8M
attach_loop "$T/mnt/disk.raw" --direct-io=on
mount_device "$LOOP" "$top"
cp -a --one-file-system /usr/share "$top/"
sync -f "$top"
fstrim "$top"
say "$(status_field regions_hydrated) of $(status_field regions_total) regions, $(status_field hydration)"
umount "$top"
check_filesystem ext4 "$LOOP"
detach_loop "$LOOP"

"$CLONECTL" set "$T/mnt" background_rate=0 >"$T/logs/set"
wait_hydrated
umount_clonefs
wait_for 60 server_is_idle
say "$(($(server_bytes) >> 20)) of $size MiB pulled"
stop_server
check_filesystem ext4 "$T/state/mnt/disk.img"
mount_device "$T/state/mnt/disk.img" "$top" -o loop,ro
diff -r --no-dereference /usr/share "$top/share" >&2 || fail "the copy differs"
diff <(tree_attributes /usr/share) <(tree_attributes "$top/share") >&2 || fail "attributes of the copy differ"
mkdir "$T/shown"
cp -a "$top"/[0-9]* "$T/shown/"
same_tree "$T/old" "$T/shown"
umount "$top"
