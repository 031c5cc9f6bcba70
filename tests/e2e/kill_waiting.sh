#!/usr/bin/env bash
# Nobody gets stuck: programs that wait for a silent source die when they are killed (buffered, mmap,
# O_DIRECT and libaio readers and writers), a timer's signal ends no request, one that ends programs
# does, and who reads what is there is answered all the while.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/disk.raw" 96M 1
cp -a "$T/www/disk.raw" "$T/expected"
start_range_server

mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration,on_source_error=wait
FILE=$T/mnt/disk.raw
head -c 65536 "$FILE" >/dev/null # hydrated before the source falls silent
server_control '{"paused": true}' >/dev/null

# Each waits at a place of its own, so that nobody is answered by another one's request.
place=0
# start HOW: sets PROGRAM. Returns when its request is at the source.
start() {
	place=$((place + 8388608))
	python3 "$E2E_DIR/waiting_program.py" "$1" "$FILE" "$place" "$T/$1.waits" 2>"$T/logs/$1" &
	PROGRAM=$!
	wait_for 60 test -e "$T/$1.waits"
	wait_for 60 server_has_seen 1 ".start <= $place" ".end >= $place"
}
# ends EXPECTED-STATUS: PROGRAM ends, with this status.
ends() {
	local status=0
	wait_for 60 process_is_gone "$PROGRAM"
	wait "$PROGRAM" 2>/dev/null || status=$?
	assert_eq "$status" "$1" "exit status of the program"
}

say "readers wait and are killed"
readers=()
for how in read mmap direct aio; do
	start "$how"
	readers+=("$PROGRAM")
done
assert_same_range "$FILE" "$T/expected" 0 65536
dd if="$FILE" iflag=direct bs=4096 count=1 status=none | cmp -n 4096 - "$T/expected"
for PROGRAM in "${readers[@]}"; do
	! process_is_gone "$PROGRAM" || fail "a reader has ended"
	kill -KILL "$PROGRAM"
	ends 137
done

# One after the other: the kernel lets one writer in at a time.
say "a timer ends no write, SIGKILL does"
start timer
fired() { [[ $(cat "$T/timer.waits") -ge 8 ]]; }
wait_for 60 fired
! process_is_gone "$PROGRAM" || fail "the writer with a timer has ended: $(cat "$T/logs/timer")"
dd if="$FILE" iflag=direct bs=4096 count=1 status=none | cmp -n 4096 - "$T/expected"
kill -KILL "$PROGRAM"
ends 137

say "SIGTERM ends a write, with and without a handler"
start term
kill -TERM "$PROGRAM"
ends 4
start write
kill -TERM "$PROGRAM"
ends 143

say "writers with O_DIRECT and libaio are killed, and who waits behind them goes on"
for how in wdirect waio; do
	start "$how"
	behind=$((place + 4194304))
	python3 "$E2E_DIR/waiting_program.py" write "$FILE" "$behind" "$T/behind.waits" 2>"$T/logs/behind" &
	second=$!
	wait_for 60 test -e "$T/behind.waits"
	kill -KILL "$PROGRAM"
	ends 137
	# The kernel lets the second one in: its request is at the source now.
	wait_for 60 server_has_seen 1 ".start <= $behind" ".end >= $behind"
	PROGRAM=$second
	kill -KILL "$PROGRAM"
	ends 137
	rm "$T/behind.waits"
done

say "SIGTERM ends a read"
start read
kill -TERM "$PROGRAM"
ends 143

say "what was waited for is readable when the source is back"
server_control '{"paused": false}' >/dev/null
assert_same_range "$FILE" "$T/expected" 8388608 4096
umount_clonefs
