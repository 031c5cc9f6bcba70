#!/usr/bin/env bash
# Every setting of clonectl set takes effect on the clone that runs: proves_SETTING shows it in the server's
# log, in what readers get, or in what the daemon does and says. A setting without a proof fails the test.
. "$(dirname "$0")/lib.sh"

require_clonefs
REGION=65536
make_image "$T/www/disk.raw" 64M 1
start_range_server
FILE=$T/mnt/disk.raw

set_to() {
	"$CLONECTL" set "$T/mnt" "$@" >>"$T/logs/set"
}
# hold, let_go: the server takes requests and answers none.
hold() {
	server_mark
	server_control '{"paused":true}' >/dev/null
}
let_go() {
	server_control '{"paused":false}' >/dev/null
}
# read_at OFFSET: a page that no cache has, in the background; sets READER. What it says is in logs/OFFSET.
read_at() {
	dd if="$FILE" iflag=direct,skip_bytes bs=4096 count=1 skip="$1" of=/dev/null status=none 2>"$T/logs/$1" &
	READER=$!
}
# fails_at OFFSET: the last reader gets EIO.
fails_at() {
	local status=0
	wait_for 60 process_is_gone "$READER"
	wait "$READER" || status=$?
	assert_eq "$status" 1 "exit status of the reader at $1"
	assert_contains "$(cat "$T/logs/$1")" "Input/output error" "what the reader at $1 heard"
}
hydrating() {
	(($(status_field regions_hydrating) == $1))
}

proves_hydration_batch_size() {
	local regions largest
	# Slow enough for the pause to come in time.
	server_control '{"rate":524288}' >/dev/null
	for regions in 1 4 16; do
		set_to "hydration_batch_size=$regions"
		server_mark
		"$CLONECTL" resume "$T/mnt"
		wait_for 60 server_has_seen 4
		"$CLONECTL" pause "$T/mnt"
		largest=$(server_events start | jq '.end - .start + 1' | sort -n | tail -n 1)
		assert_eq "$largest" $((regions * REGION)) "bytes of the largest request of $regions regions"
	done
	server_control '{"rate":0}' >/dev/null
}

proves_hydration_threshold() {
	set_to hydration_batch_size=2 hydration_threshold=4
	hold
	"$CLONECTL" resume "$T/mnt"
	wait_for 60 server_has_seen 2
	wait_for 60 hydrating 4
	set_to hydration_threshold=10
	wait_for 60 hydrating 10
	wait_for 60 server_has_seen 5
	"$CLONECTL" pause "$T/mnt"
	set_to hydration_threshold=0
	"$CLONECTL" resume "$T/mnt"
	assert_eq "$(status_field hydration)" paused "hydration with a threshold of 0"
	"$CLONECTL" pause "$T/mnt"
	let_go
	set_to hydration_threshold=1024
}

proves_background_rate() {
	local seconds
	set_to background_rate=1M hydration_batch_size=1
	server_mark
	"$CLONECTL" resume "$T/mnt"
	wait_for 120 server_has_seen 49
	"$CLONECTL" pause "$T/mnt"
	seconds=$(server_events start | jq -s '.[48].time - .[0].time')
	# 3 MiB, of which a quarter of a second's may come at once.
	jq -en "$seconds >= 1.5" >/dev/null || fail "3 MiB at 1 MiB/s took $seconds s"
	set_to background_rate=0
}

proves_max_connections() {
	local readers=() i
	set_to max_connections=3
	hold
	for i in {0..7}; do
		read_at $(((40 + i) << 20))
		readers+=("$READER")
	done
	wait_for 60 server_has_seen 3
	assert_eq "$(server_state in_flight)" 3 "requests at once with 3 connections"
	set_to max_connections=5
	five_at_once() { [[ $(server_state in_flight) = 5 ]]; }
	wait_for 60 five_at_once
	let_go
	for i in "${readers[@]}"; do
		wait "$i" || fail "a reader got nothing"
	done
	set_to max_connections=16
}

proves_timeout() {
	set_to timeout=10m
	hold
	read_at $((50 << 20))
	wait_for 60 server_has_seen 1
	set_to timeout=1s
	fails_at $((50 << 20))
	let_go
}

proves_on_source_error() {
	set_to timeout=1s on_source_error=wait
	server_fault status '"status":503'
	read_at $((52 << 20))
	wait_for 60 status_is source_state unreachable
	! process_is_gone "$READER" || fail "a reader did not wait"
	set_to on_source_error=eio
	fails_at $((52 << 20))
	set_to on_source_error=wait:2s
	read_at $((53 << 20))
	fails_at $((53 << 20))
	server_fault ''
	set_to on_source_error=eio timeout=30s
	"$CLONECTL" resume "$T/mnt"
	wait_for 60 status_is source_state ok
	"$CLONECTL" pause "$T/mnt"
}

# session_has PATTERN: the journal, since the clone was opened.
session_has() {
	python3 "$E2E_DIR/journal_rows.py" "$(state_dir_of)/journal.db" | tac | sed '/^open|/q' | grep -q "$1"
}
# In the foreground: what is logged can be seen.
proves_log_level() {
	umount_clonefs
	at_exit unmount_clone_at_exit "$T/mnt"
	"$MOUNT_CLONEFS" -F -o "no_hydration,stop_timeout=1h,name=$(clone_name "$T/mnt"),state_dir=$(state_dir_of)" \
		"$URL/disk.raw" "$T/mnt" 2>"$T/logs/daemon" &
	DAEMON=$!
	wait_for 60 mountpoint -q "$T/mnt"
	wait_for 60 status_is pid "$DAEMON"
	"$CLONECTL" resume "$T/mnt"
	# An event is logged before it is in the journal.
	wait_for 60 session_has '^resume|'
	! grep -q 'hydration goes on' "$T/logs/daemon" || fail "info was logged at the level notice"
	set_to log_level=info
	"$CLONECTL" pause "$T/mnt"
	wait_for 60 grep -q 'hydration is paused' "$T/logs/daemon"
}

proves_stop_timeout() {
	exec 7<"$FILE"
	set_to stop_timeout=100ms
	kill -TERM "$DAEMON"
	wait_for 60 process_is_gone "$DAEMON"
	exec 7<&-
	assert_contains "$(python3 "$E2E_DIR/journal_rows.py" "$(state_dir_of)/journal.db" | tail -n 1)" \
		"stop_timeout= is over" "why the daemon ended"
}

mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration
settings=$("$CLONECTL" status "$T/mnt" | grep -oE '\b[a-z_]+=' | tr -d =)
# The last two need a daemon of their own and end it.
proofs='hydration_batch_size hydration_threshold background_rate max_connections timeout on_source_error
	log_level stop_timeout'
assert_eq "$(sort <<<"$settings" | xargs)" "$(xargs -n 1 <<<"$proofs" | sort | xargs)" "settings that have a proof"
for setting in $proofs; do
	say "$setting"
	"proves_$setting"
done
