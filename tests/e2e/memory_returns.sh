#!/usr/bin/env bash
# What a burst of readers needed is given back when nobody needs it any more.
. "$(dirname "$0")/lib.sh"

READERS=16 # up to 8 of their replies are kept at first, a MiB each
require_clonefs
# Its allocator keeps what is freed, and its shadow grows.
! is_sanitized || skip "the memory of a sanitized daemon says nothing"
make_image "$T/www/disk.raw" 64M 1
start_range_server --ttfb-ms 1000

# KiB, of the daemon.
anonymous() { awk '/^Anonymous:/ { print $2 }' "/proc/$PID/smaps_rollup"; }
gave_back_half() { ((peak - $(anonymous) >= (peak - before) / 2)); }

mount_clonefs "$URL/disk.raw" "$T/mnt" "no_hydration,max_connections=$READERS"
PID=$(status_field pid)
before=$(anonymous)
readers=()
for ((i = 0; i < READERS; i++)); do
	dd if="$T/mnt/disk.raw" of="$T/part-$i" bs=1M count=1 skip=$((4 * i)) iflag=direct status=none &
	readers+=($!)
done
wait "${readers[@]}"
peak=$(anonymous)
say "$before KiB before, $peak KiB after $READERS readers"
((peak - before >= 2048)) || fail "so little is kept that this test can see nothing"
for ((i = 0; i < READERS; i++)); do
	cmp -n 1048576 -i "0:$((4 * i << 20))" "$T/part-$i" "$T/www/disk.raw"
done
wait_for 120 gave_back_half
say "$(anonymous) KiB later"
umount_clonefs
