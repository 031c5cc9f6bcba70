#!/usr/bin/env bash
# Nobody gets stuck: programs that wait for a dead source, silent or gone, die when they are killed (buffered,
# mmap, O_DIRECT and libaio, readers and writers), writers that wait behind them in D state go on, a timer's
# signal ends no request, one that ends programs does, and who reads what is there is answered all the while.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/disk.raw" 192M 1
cp -a "$T/www/disk.raw" "$T/expected"
start_range_server
PORT=$(port_of "$URL")

# No deadline ends a wait, and the source does not come back before all is over.
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration,on_source_error=wait,timeout=10m
FILE=$T/mnt/disk.raw
head -c 65536 "$FILE" >/dev/null # hydrated before the source falls silent
server_control '{"paused": true}' >/dev/null

# Each waits at a place of its own, so that nobody is answered by another one's request.
place=0
# start HOW: sets PROGRAM. Returns when its request is at the source.
start() {
	place=$((place + 8388608))
	rm -f "$T/$1.waits"
	python3 "$E2E_DIR/waiting_program.py" "$1" "$FILE" "$place" "$T/$1.waits" 2>"$T/logs/$1" &
	PROGRAM=$!
	wait_for 60 test -e "$T/$1.waits"
	wait_for 60 server_has_seen 1 ".start <= $place" ".end >= $place"
}
# is_killed HOW PROGRAM: it waits until it is killed, and then dies, as the source is dead by nothing else.
is_killed() {
	local began took
	! process_is_gone "$2" || fail "$1 has ended by itself: $(cat "$T/logs/$1")"
	began=$(date +%s%3N)
	kill -KILL "$2"
	ends "$2" 137
	took=$(($(date +%s%3N) - began))
	say "$1: killed, and gone $took ms later"
	((took < 20000)) || fail "$1 took $took ms to die"
}
# ends PROGRAM EXPECTED-STATUS
ends() {
	local status=0
	wait_for 60 process_is_gone "$1"
	wait "$1" 2>/dev/null || status=$?
	assert_eq "$status" "$2" "exit status of the program"
}
# blocked_in_d PROGRAM: it waits for the inode's lock, where no signal reaches it.
blocked_in_d() { [[ $(cut -d ')' -f 2 "/proc/$1/stat") = ' D '* ]]; }
let_in() { ! blocked_in_d "$1"; }
there_is_read() {
	drop_cached "$FILE"
	assert_same_range "$FILE" "$T/expected" 0 65536
	dd if="$FILE" iflag=direct bs=4096 count=1 status=none | cmp -n 4096 - "$T/expected"
}

# revives: the server, which is silent again.
revives() {
	start_range_server --port "$PORT"
	server_control '{"paused": true}' >/dev/null
}

# Linux 6.1 has who may write wait in close() for who writes; readers wait nowhere for him.
waits_for_writer() { [[ $1 = w* && $(uname -r) = 6.1.* ]]; }

# everybody_is_killed silent|gone: of each kind one. The kernel lets one writer in at a time; another one is
# behind him.
everybody_is_killed() {
	local how writer behind second readers=() late=()
	for how in read mmap direct aio wmmap; do
		start "$how"
		readers+=("$how $PROGRAM")
	done
	for writer in write wdirect waio; do
		start "$writer"
		behind=$((place + 4194304))
		rm -f "$T/behind.waits"
		python3 "$E2E_DIR/waiting_program.py" write "$FILE" "$behind" "$T/behind.waits" \
			2>"$T/logs/behind" &
		second=$!
		wait_for 60 test -e "$T/behind.waits"
		# An asynchronous one gives the lock back.
		[[ $writer = waio ]] || wait_for 60 blocked_in_d "$second"
		[[ $1 = silent ]] || stop_server
		there_is_read
		for how in "${readers[@]}"; do
			if waits_for_writer "$how"; then
				late+=("$how")
			else
				is_killed "${how% *}" "${how#* }"
			fi
		done
		readers=()
		if waits_for_writer "$writer"; then
			kill -KILL "$PROGRAM"
			wait_for 60 let_in "$second"
			is_killed behind "$second"
			ends "$PROGRAM" 137
		else
			is_killed "$writer" "$PROGRAM"
			wait_for 60 let_in "$second"
			is_killed behind "$second"
		fi
		for how in "${late[@]}"; do
			is_killed "${how% *}" "${how#* }"
		done
		late=()
		[[ $1 = silent ]] || revives
	done
}

say "the source is silent"
everybody_is_killed silent

say "a timer ends no write, SIGKILL does"
start timer
fired() { [[ $(cat "$T/timer.waits") -ge 8 ]]; }
wait_for 60 fired
there_is_read
is_killed timer "$PROGRAM"

say "SIGTERM ends a write, with and without a handler, and a read"
start term
kill -TERM "$PROGRAM"
ends "$PROGRAM" 4
for how in write read; do
	start "$how"
	kill -TERM "$PROGRAM"
	ends "$PROGRAM" 143
	done

say "the source is gone"
everybody_is_killed gone

say "what was waited for is readable when the source is back"
server_control '{"paused": false}' >/dev/null
for place in 8388608 83886080; do
	assert_same_range "$FILE" "$T/expected" "$place" 4096
done
umount_clonefs
