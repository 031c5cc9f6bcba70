#!/usr/bin/env bash
# A name that moves is followed, and one that hangs in a name server which never answers stops nobody else:
# neither readers of what is there, nor other clones, status, umount, SIGTERM or a mount of an existing clone.
. "$(dirname "$0")/lib.sh"

require_clonefs
own_network
make_image "$T/www/disk.raw" 32M 1
# Readers go from here downwards, so that nothing is read ahead for the next one.
END=33554432
start_range_server --bind 127.0.0.1
PORT=$(port_of "$URL")

# came_to PLACE...: requests that arrived at the servers whose logs these are.
came_to() { cat "$@" | jq -s 'map(select(.event == "start")) | length'; }

say "a name moves while its old place still answers"
hosts '127.0.0.1 moves.test'
mount_clonefs "http://moves.test:$PORT/disk.raw" "$T/mnt" no_hydration,timeout=2m
old=$URL old_pid=$SERVER_PID old_log=$SERVER_LOG
start_range_server --bind 127.0.0.9 --port "$PORT"
URL=http://127.0.0.9:$PORT new_log=$SERVER_LOG
hosts '127.0.0.9 moves.test'
# Connections that are kept go on; a new one finds the new place once the name has been forgotten.
moved() {
	curl -gfsS --noproxy '*' -d '{"drop_connections":true}' "$old/_control" >/dev/null
	reads_at $((place -= 131072)) || fail "not readable while the name moves"
	(($(came_to "$new_log") > 0))
}
place=$END
wait_for 60 moved
stop_process "$old_pid"
before=$(came_to "$old_log")
reads_at 1048576 || fail "not readable at the new place"
assert_eq "$(came_to "$old_log")" "$before" "requests at the old place"

say "a name moves because its place is gone, while a reader waits"
stop_server
cmp -i 1310720 -n 4096 "$(image_of)" "$T/www/disk.raw" &
reader=$!
start_range_server --bind 127.0.0.10 --port "$PORT"
URL=http://127.0.0.10:$PORT
began=$(date +%s%3N)
hosts '127.0.0.10 moves.test'
wait "$reader" || fail "the reader got something wrong"
say "followed within $(($(date +%s%3N) - began)) ms"
umount_clonefs
rm -r "$(state_dir_of)"

say "a name server that never answers"
start_silent_name_server
hosts '127.0.0.10 slow.test'
mount_clonefs "http://slow.test:$PORT/disk.raw" "$T/mnt" no_hydration,timeout=2m
mount_clonefs "http://127.0.0.10:$PORT/disk.raw" "$T/other" no_hydration
hosts ''
# One reader after the other, until one needs the name. Connections and the name are known for a while.
hangs() {
	server_control '{"drop_connections":true}' >/dev/null
	if process_is_gone "${HANGING:-none}"; then
		place=$((place - 131072))
		dd if="$(image_of)" iflag=direct,skip_bytes bs=4096 count=1 skip="$place" of=/dev/null \
			status=none 2>>"$T/logs/hanging" &
		HANGING=$!
	fi
	[[ -s $T/name-server ]]
}
place=$END
wait_for 60 hangs
! process_is_gone "$HANGING" || fail "the reader whose name hangs has ended"
began=$SECONDS
reads_at 0 || fail "what is there is not readable while a name hangs"
reads_at 131072 "$T/other" || fail "another clone hangs"
assert_eq "$(status_field name)" "$(clone_name "$T/mnt")" "status while a name hangs"
! process_is_gone "$HANGING" || fail "the reader was answered, nothing hangs"
kill -KILL "$HANGING"
wait_for 60 process_is_gone "$HANGING"
umount_clonefs
took=$((SECONDS - began))
say "all of that took $took s, the name would have been waited for 120 s"
((took < 60)) || fail "a name that hangs held others up for $took s"

say "an existing clone is mounted all the same, and ends"
began=$SECONDS
mount_clonefs "http://slow.test:$PORT/disk.raw" "$T/mnt" timeout=4s 2>"$T/logs/warned"
"$CLONECTL" set "$T/mnt" timeout=2m >"$T/logs/set"
say "mounted after $((SECONDS - began)) s"
assert_eq "$(status_field source_state)" unreachable "source_state"
reason_has "the source is unreachable: " || fail "the reason is: $(status_field reason)"
reads_at 0 || fail "what is there is not readable"
PID=$(status_field pid)
began=$SECONDS
kill -TERM "$PID"
wait_for 60 process_is_gone "$PID"
say "SIGTERM took $((SECONDS - began)) s"
((SECONDS - began < 30)) || fail "SIGTERM waits for the name"

say "EIO after timeout= when nothing is there, and back when the name is"
mount_clonefs "http://slow.test:$PORT/disk.raw" "$T/mnt" no_hydration,timeout=2s 2>"$T/logs/warned"
fails_at 1966080
hosts '127.0.0.10 slow.test'
wait_for 60 reads_at 1966080
"$CLONECTL" resume "$T/mnt"
wait_hydrated
assert_same_file "$(image_of)" "$T/www/disk.raw"
umount_clonefs
mount_refused 1 '' "http://slower.test:$PORT/disk.raw" "$T/new" timeout=2s
umount_clonefs "$T/other"
