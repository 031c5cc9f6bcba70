#!/usr/bin/env bash
# fstrim of a file system on a paused clone: free space becomes hydrated without a fetch, and what was trimmed is
# never asked for again, to the end.
. "$(dirname "$0")/lib.sh"

require_clonefs
SIZE=$((192 << 20))
make_tree "$T/old" 60 1
make_filesystem_image "$T/www/disk.raw" 192M ext4 "$T/old"
start_range_server
FILE=$T/mnt/disk.raw

mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration
attach_loop "$FILE" --direct-io=on
mount_device "$LOOP" "$T/top"
free=$(df --output=avail -B 1 "$T/top" | tail -n 1)
wait_for 60 server_is_idle
before=$(server_bytes)
hydrated=$(status_field regions_hydrated)

say "trimmed while paused"
fstrim "$T/top"
sync -f "$T/top"
wait_for 60 server_is_idle
trimmed=$((($(status_field regions_hydrated) - hydrated) * 65536))
pulled=$(($(server_bytes) - before))
say "$((free >> 20)) MiB free, $((trimmed >> 20)) MiB more hydrated, $((pulled >> 10)) KiB pulled by fstrim"
((trimmed > free * 8 / 10)) || fail "only $trimmed bytes of $free free ones became hydrated"
((pulled < trimmed / 10)) || fail "fstrim pulled $pulled bytes"

# What is a hole in a hydrated region was trimmed: in whole regions, nobody asks for it any more.
umount "$T/top"
check_filesystem ext4 "$LOOP"
detach_loop "$LOOP"
file_map "$FILE" | awk '$1 == "hole" {
	first = int(($2 + 65535) / 65536) * 65536; end = int($3 / 65536) * 65536
	if (end > first) print first, end }' >"$T/trimmed"
total=$(awk '{ n += $2 - $1 } END { print n + 0 }' "$T/trimmed")
((total > free * 8 / 10)) || fail "only $total bytes are holes"

say "hydrated to the end: no request touches what was trimmed"
server_mark
"$CLONECTL" resume "$T/mnt"
wait_hydrated
wait_for 60 server_is_idle
(($(server_count) > 0)) || fail "nothing was left to fetch: this test tests nothing"
server_events start | jq -r '"\(.start) \(.end + 1)"' >"$T/asked"
awk 'NR == FNR { first[NR] = $1; end[NR] = $2; n = NR; next }
	{ for (i = 1; i <= n; i++) if ($1 < end[i] && $2 > first[i]) print "asked for", $1, $2 ", trimmed", first[i], end[i] }' \
	"$T/trimmed" "$T/asked" >"$T/logs/asked_again"
[[ ! -s $T/logs/asked_again ]] || fail "requests for what was trimmed"
pulled=$(server_bytes)
say "$((pulled >> 20)) MiB of $((SIZE >> 20)) pulled"
((pulled <= SIZE - total)) || fail "$pulled bytes were pulled, $((SIZE - total)) were missing"
umount_clonefs
check_filesystem ext4 "$T/state/mnt/disk.img"
mount_device "$T/state/mnt/disk.img" "$T/top" -o loop,ro
same_tree "$T/old" "$T/top"
umount "$T/top"
(($(allocated_bytes "$T/state/mnt/disk.img") <= SIZE - total + (4 << 20))) || fail "the destination is not sparse"
