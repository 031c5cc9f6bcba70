#!/usr/bin/env bash
# Nobody gets stuck: readers and writers that wait for a silent source die when they are killed
# (buffered, mmap, O_DIRECT, libaio), a timer's signal ends nobody, and reads that hit go on.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/disk.raw" 64M 1
cp -a "$T/www/disk.raw" "$T/expected"
start_range_server

mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration,on_source_error=wait
FILE=$T/mnt/disk.raw
head -c 65536 "$FILE" >/dev/null # hydrated before the source falls silent
server_control '{"paused": true}' >/dev/null

# Each waits at a place of its own, so that nobody is answered by another one's read.
readers=()
place=8388608
start_reader() {
	python3 "$E2E_DIR/waiting_reader.py" "$1" "$FILE" "$place" "$T/$1.waits" &
	readers+=($!)
	wait_for 60 test -e "$T/$1.waits"
	place=$((place + 8388608))
}
for how in read mmap direct aio timer; do
	start_reader "$how"
done

# They wait in the kernel now, or will in a moment; a request has to be at the daemon for the rest.
wait_for 60 server_has_seen 4 '.start >= 8388608'

say "reads that hit are answered"
assert_same_range "$FILE" "$T/expected" 0 65536
dd if="$FILE" iflag=direct bs=4096 count=1 status=none | cmp -n 4096 - "$T/expected"

say "a timer ends nothing"
timer=${readers[4]}
fired() { [[ $(cat "$T/timer.waits") -ge 5 ]]; }
wait_for 60 fired
! process_is_gone "$timer" || fail "the reader with a timer has ended"

say "a writer waits, too"
dd if=/dev/zero of="$FILE" bs=4096 count=1 seek=60M oflag=seek_bytes conv=notrunc status=none &
readers+=($!)
wait_for 60 server_has_seen 1 '.start >= 60000000'

say "SIGKILL ends them all"
for pid in "${readers[@]}"; do
	kill -KILL "$pid"
done
for pid in "${readers[@]}"; do
	wait_for 60 process_is_gone "$pid"
done

say "what was waited for is readable when the source is back"
server_control '{"paused": false}' >/dev/null
assert_same_range "$FILE" "$T/expected" 8388608 4096

say "SIGTERM ends a buffered reader"
server_control '{"paused": true}' >/dev/null
dd if="$FILE" bs=4096 count=1 skip=50M iflag=skip_bytes of=/dev/null status=none &
pid=$!
wait_for 60 server_has_seen 1 '.start >= 52000000' '.start < 60000000'
kill -TERM "$pid"
wait_for 60 process_is_gone "$pid"
server_control '{"paused": false}' >/dev/null
umount_clonefs
