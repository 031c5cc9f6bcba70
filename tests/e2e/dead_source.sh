#!/usr/bin/env bash
# A source that is silent or gone holds nobody up: umount and SIGTERM end the clone, writers in D state are let
# go, an existing clone is mounted, readers go on soon after it is back, and meanwhile all of them together ask
# once a second. With deadlines of minutes, which can explain none of it.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/disk.raw" 16M 1
start_range_server
PORT=$(port_of "$URL")
FILE=$(image_of)

# begin OPTIONS: mounts; sets PID.
begin() {
	mount_clonefs "$URL/disk.raw" "$T/mnt" "timeout=10m,$1"
	PID=$(status_field pid)
}
now_ms() { date +%s%3N; }
# ended_within MS SINCE WHAT: the daemon has. The promise is 5 s.
ended_within() {
	local took
	wait_for 120 process_is_gone "$PID"
	took=$(($(now_ms) - $2))
	say "$3: the daemon was gone after $took ms"
	((took < $1)) || fail "$3: the daemon took $took ms"
	"$CLONECTL" wait --exit --timeout 60s "$(state_dir_of)"
}
silent() {
	server_mark
	server_control '{"paused":true}' >/dev/null
}
well() { server_control '{"paused":false}' >/dev/null; }
gone() {
	silent
	stop_server
}
back() { start_range_server --port "$PORT"; }
# read_at OFFSET: in the background; sets READER. What it says is in logs/OFFSET.
read_at() {
	dd if="$FILE" iflag=direct,skip_bytes bs=4096 count=1 skip="$1" of="$T/read-$1" status=none 2>"$T/logs/$1" &
	READER=$!
}
# write_at OFFSET: in the background; sets WRITER.
write_at() {
	dd if=/dev/zero of="$FILE" bs=500 count=1 seek="$1" oflag=seek_bytes conv=notrunc status=none \
		2>"$T/logs/$1" &
	WRITER=$!
}
# hears_eio PID OFFSET
hears_eio() {
	local status=0
	wait "$1" || status=$?
	assert_eq "$status" 1 "exit status of who waited at $2"
	assert_contains "$(cat "$T/logs/$2")" "Input/output error" "what he heard"
}
# two_writers: the second one waits for the inode's lock, in D state.
two_writers() {
	server_mark
	write_at 4194304
	FIRST=$WRITER
	wait_for 60 server_has_seen 1
	write_at 5242880
	wait_for 60 is_in_d "$WRITER"
}
is_in_d() { [[ $(cut -d ')' -f 2 "/proc/$1/stat") = ' D '* ]]; }

say "umount and SIGTERM while the background waits for the source"
for how in umount SIGTERM; do
	for dead in silent gone; do
		begin no_hydration
		"$dead"
		"$CLONECTL" resume "$T/mnt"
		[[ $dead = gone ]] || wait_for 60 server_has_seen 1
		began=$(now_ms)
		if [[ $how = umount ]]; then umount "$T/mnt"; else kill -TERM "$PID"; fi
		ended_within 25000 "$began" "$how, $dead"
		if [[ $dead = gone ]]; then back; else well; fi
	done
done

say "SIGTERM while a reader and two writers wait"
begin no_hydration,on_source_error=wait,stop_timeout=500ms
silent
read_at 3145728
two_writers
began=$(now_ms)
kill -TERM "$PID"
hears_eio "$READER" 3145728
hears_eio "$FIRST" 4194304
# Whoever gets the lock so late may find nobody there any more.
! wait "$WRITER" || fail "the second writer succeeded"
ended_within 25000 "$began" "SIGTERM, three waiting"
well

say "two writers are let go by set on_source_error=eio"
begin no_hydration,on_source_error=wait
silent
two_writers
"$CLONECTL" set "$T/mnt" timeout=100ms >"$T/logs/set"
wait_for 60 status_is source_state unreachable
! process_is_gone "$FIRST" || fail "on_source_error=wait does not wait"
began=$(now_ms)
"$CLONECTL" set "$T/mnt" on_source_error=eio >"$T/logs/set"
hears_eio "$FIRST" 4194304
hears_eio "$WRITER" 5242880
say "both had heard after $(($(now_ms) - began)) ms"
well
umount_clonefs

# asks_once_a_second WHAT: the requests of five turns. Counted at the server, between two looks at the clock.
asks_once_a_second() {
	local began asked
	# Each reader's first request, and one turn.
	wait_for 60 server_has_seen 9
	began=$(now_ms)
	server_mark
	wait_for 60 server_has_seen 4
	asked=$(server_count)
	took=$(($(now_ms) - began))
	say "$1: $asked requests in $took ms"
	((asked <= took / 1000 + 2)) || fail "$1: more than one request a second: $asked in $took ms"
}
# eight_read_again: the readers that wait have their bytes.
eight_read_again() {
	local i began
	if [[ $1 = gone ]]; then back; else server_fault ''; fi
	began=$(now_ms)
	for i in {1..8}; do
		wait "${readers[i - 1]}" || fail "a reader failed: $(cat "$T/logs/$((i << 20))")"
		cmp -n 4096 -i "0:$((i << 20))" "$T/read-$((i << 20))" "$T/www/disk.raw" ||
			fail "a reader got something wrong"
	done
	took=$(($(now_ms) - began))
	say "eight readers had their bytes $took ms after it was back"
	((took < 20000)) || fail "readers waited $took ms after the source was back"
}

say "eight readers, and the background, at a source that fails; and it is back"
for how in eio,timeout=10m wait,timeout=1s; do
	rm -r "$(state_dir_of)"
	begin "no_hydration,on_source_error=$how"
	server_mark
	server_fault status '"status":503'
	readers=()
	for i in {1..8}; do
		read_at $((i << 20))
		readers+=("$READER")
	done
	"$CLONECTL" resume "$T/mnt"
	[[ $how != wait* ]] || wait_for 60 status_is source_state unreachable
	asks_once_a_second "on_source_error=$how"
	if [[ $how = wait* ]]; then
		gone
		sleep 3
		eight_read_again gone
	else
		eight_read_again failing
	fi
	umount_clonefs
done

say "an existing clone is mounted without its source"
rm -r "$(state_dir_of)"
begin no_hydration
assert_same_range "$FILE" "$T/www/disk.raw" 1048576 4096
umount_clonefs
for dead in gone silent; do
	"$dead"
	began=$(now_ms)
	begin timeout=6s 2>"$T/logs/warned"
	say "$dead: mounted after $(($(now_ms) - began)) ms"
	assert_contains "$(cat "$T/logs/warned")" "what is hydrated can be read" "the warning"
	assert_eq "$(status_field source_state)" unreachable "source_state"
	reads_at 1048576 || fail "what is there is not readable"
	# Before the source is back: the background would complete the clone, which then needs none.
	[[ $dead = silent ]] || umount_clonefs
	if [[ $dead = gone ]]; then back; else well; fi
done
wait_hydrated
assert_same_file "$FILE" "$T/www/disk.raw"
umount_clonefs
