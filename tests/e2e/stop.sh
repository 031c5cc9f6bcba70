#!/usr/bin/env bash
# Ends: umount is followed by the last commit; SIGTERM takes the mount away and serves open files
# until they are closed, stop_timeout= is over or a second signal comes; what still waits gets EIO.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/disk.raw" 8M 1
cp -a "$T/www/disk.raw" "$T/expected"
start_range_server
FILE=$T/mnt/disk.raw
STATE=$T/state/mnt

# begin [OPTIONS]: mounts; sets PID.
begin() {
	mount_clonefs "$URL/disk.raw" "$T/mnt" "no_hydration,${1:-}"
	PID=$(status_field pid)
}
not_mounted() { ! grep -q " $T/mnt fuse.clonefs " /proc/mounts; }
# over [REASON]: the daemon is gone and has left nothing but its state; the journal says why.
over() {
	wait_for 60 process_is_gone "$PID"
	"$CLONECTL" wait --exit --timeout 60s "$STATE"
	not_mounted || fail "still mounted"
	[[ ! -e /run/clonefs/$(clone_name "$T/mnt").sock ]] || fail "a socket is left"
	[[ -z ${1:-} ]] || assert_eq "$(python3 "$E2E_DIR/journal_rows.py" "$STATE/journal.db" | tail -n 1)" "close|0|ended|$1" \
		"the last row of the journal"
}

say "umount: what was read is committed when the lock is free"
begin
assert_same_range "$FILE" "$T/expected" 0 1048576
umount "$T/mnt"
"$CLONECTL" wait --exit --timeout 60s "$STATE"
over umount
server_mark
begin
assert_same_range "$FILE" "$T/expected" 0 1048576
wait_for 60 server_is_idle
assert_eq "$(server_overlaps 65536 1048575)" 0 "requests for what was committed"

say "SIGTERM without an open file: at once"
kill -TERM "$PID"
over SIGTERM

say "SIGINT is the same"
begin
kill -INT "$PID"
over SIGINT

say "SIGHUP is ignored"
begin
kill -HUP "$PID"
assert_same_range "$FILE" "$T/expected" 2097152 65536
assert_eq "$(status_field pid)" "$PID" "pid after SIGHUP"

say "SIGTERM with an open file: it is served until it is closed"
exec 7<>"$FILE"
kill -TERM "$PID"
wait_for 60 not_mounted
python3 - "$T/expected" <<'END'
import os, sys
model = os.open(sys.argv[1], os.O_RDWR)
assert os.pread(7, 16384, 4194304) == os.pread(model, 16384, 4194304)
assert os.pwrite(7, b'last words', 5000000) == 10
os.pwrite(model, b'last words', 5000000)
os.fsync(7)
END
! process_is_gone "$PID" || fail "the daemon has not waited for the open file"
! text=$("$CLONECTL" set "$STATE" on_source_error=wait 2>&1) || fail "settings were changed while closing"
assert_contains "$text" "is being closed" "what set says while closing"
exec 7<&-
exec 7>&-
over SIGTERM
begin
assert_same_file "$FILE" "$T/expected"

say "a second signal: now"
exec 7<"$FILE"
kill -TERM "$PID"
wait_for 60 not_mounted
kill -TERM "$PID"
over "a second signal: what was open is cut off"
! python3 -c 'import os; os.fsync(7)' 2>/dev/null || fail "a file that was cut off still answers"
exec 7<&-

say "stop_timeout="
begin stop_timeout=200ms
exec 7<"$FILE"
kill -TERM "$PID"
over "stop_timeout= is over: what was open is cut off"
exec 7<&-

say "what waits for a source that is silent gets EIO at the end"
rm -r "$STATE"
begin stop_timeout=200ms,on_source_error=wait
server_control '{"paused": true}' >/dev/null
server_mark
dd if="$FILE" bs=4096 count=1 skip=1M iflag=skip_bytes,direct status=none of=/dev/null 2>"$T/logs/read" &
reader=$!
dd if=/dev/zero of="$FILE" bs=500 count=1 seek=3M oflag=seek_bytes conv=notrunc status=none 2>"$T/logs/write" &
writer=$!
wait_for 60 server_has_seen 2
kill -TERM "$PID"
status=0
wait "$reader" || status=$?
assert_eq "$status" 1 "exit status of the reader"
assert_contains "$(cat "$T/logs/read")" "Input/output error" "what the reader heard"
status=0
wait "$writer" || status=$?
assert_eq "$status" 1 "exit status of the writer"
assert_contains "$(cat "$T/logs/write")" "Input/output error" "what the writer heard"
over
server_control '{"paused": false}' >/dev/null

say "set on_source_error=eio lets go of who waits"
begin on_source_error=wait,timeout=200ms
server_control '{"paused": true}' >/dev/null
server_mark
dd if=/dev/zero of="$FILE" bs=500 count=1 seek=6M oflag=seek_bytes conv=notrunc status=none 2>"$T/logs/write" &
writer=$!
wait_for 60 server_has_seen 1
"$CLONECTL" set "$T/mnt" on_source_error=eio
status=0
wait "$writer" || status=$?
assert_eq "$status" 1 "exit status of the writer"
server_control '{"paused": false}' >/dev/null
umount_clonefs

say "in the foreground the exit status is 0"
"$MOUNT_CLONEFS" -F -o "state_dir=$STATE" "$URL/disk.raw" "$T/mnt" 2>"$T/logs/foreground" &
PID=$!
mounted() { ! not_mounted; }
wait_for 60 mounted
wait_for 60 status_is pid "$PID"
kill -TERM "$PID"
status=0
wait "$PID" || status=$?
assert_eq "$status" 0 "exit status after SIGTERM"
over SIGTERM
