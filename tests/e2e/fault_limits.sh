#!/usr/bin/env bash
# What a server cannot make us do: take more memory, open more connections, ask for more at once, or ask a
# dead one more than once a second. And it is found again when it is back.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/disk.raw" 24M 1
start_range_server
# memory_peak: KiB, of the daemon.
memory_peak() { awk '/^VmHWM:/ { print $2 }' "/proc/$(status_field pid)/status"; }
# read_in_vain OFFSET: a reader that is answered EIO.
read_in_vain() {
	! dd if="$(image_of)" iflag=direct,skip_bytes bs=4096 count=1 skip="$1" of=/dev/null \
		2>/dev/null || fail "read what no server sent"
}
reads_again() {
	dd if="$(image_of)" iflag=direct,skip_bytes bs=4096 count=1 skip="$1" status=none 2>/dev/null |
		cmp -s -n 4096 - <(tail -c +$(($1 + 1)) "$T/www/disk.raw")
}

say "a server that never stops"
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration,timeout=1s,max_connections=4
before=$(memory_peak)
server_fault endless_header
read_in_vain 1048576
server_fault redirect
read_in_vain 2097152
server_fault endless_body
# Misses fail at once until a probe has found out.
wait_for 60 reads_again 2097152
for place in 3 4 5 6; do
	assert_same_range "$(image_of)" "$T/www/disk.raw" $((place * 1048576)) 65536
done
after=$(memory_peak)
sent=$(server_events end '.outcome == "client_closed"' | jq -s 'map(.sent) | max // 0')
say "memory: $before KiB before, $after KiB after; at most $sent bytes of one answer were taken"
# Sanitizers keep what was freed.
is_sanitized || ((after - before < 65536)) || fail "memory grew by $((after - before)) KiB"
((sent < 16777216)) || fail "$sent bytes of one answer were taken"

say "redirects and requests are bounded"
# Counted at a mount, which is refused at once.
server_fault redirect
server_mark
mount_refused 1 'more than 10 times' "$URL/disk.raw" "$T/new" timeout=2s
assert_eq "$(server_count)" 11 "requests of a redirect without end"
server_fault redirect "\"location\":\"/$(printf '%09000d' 7)\""
server_mark
mount_refused 1 'a URL of more than' "$URL/disk.raw" "$T/new" timeout=2s
assert_eq "$(server_count)" 1 "requests after a redirect to 9000 bytes of URL"
server_fault ''
longest=$(jq -s 'map(select(.event == "start" and .start != null) | .end - .start + 1) | max' "$SERVER_LOG")
say "at most $longest bytes were asked for at once"
((longest <= 16777216)) || fail "$longest bytes were asked for at once"

say "one probe a second at most, and back within seconds"
# on_source_error=eio: readers keep asking, all of them together are one probe a second.
server_fault status '"status":503'
"$CLONECTL" resume "$T/mnt"
wait_for 60 status_is hydration waiting
readers=()
for _ in 1 2 3 4; do
	(while [[ ! -e $T/enough ]]; do dd if="$(image_of)" iflag=direct bs=4096 count=1 skip=5000 of=/dev/null status=none \
		2>/dev/null || sleep 0.05; done) &
	readers+=($!)
	at_exit touch "$T/enough"
done
sleep 1.5 # what was under way when it was found away
server_mark
began=$(date +%s%3N)
wait_for 60 server_has_seen 4
sleep 2
asked=$(server_count)
took=$(($(date +%s%3N) - began))
say "$asked requests in $took ms"
((asked <= took / 1000 + 3)) || fail "more than one probe a second: $asked in $took ms"
: >"$T/enough"
wait "${readers[@]}"
began=$(date +%s%3N)
server_fault ""
wait_for 60 reads_again 16777216
say "readable again after $(($(date +%s%3N) - began)) ms"
wait_hydrated
assert_same_file "$(image_of)" "$T/www/disk.raw"
umount_clonefs
rm -r "$(state_dir_of)"

say "max_connections="
start_range_server
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration,max_connections=3
server_control '{"ttfb_ms":50}' >/dev/null
server_mark
"$CLONECTL" set "$T/mnt" hydration_batch_size=1
"$CLONECTL" resume "$T/mnt"
python3 "$E2E_DIR/random_readers.py" "$(image_of)" "$T/www/disk.raw" 8 20 1
wait_hydrated
server_control '{"ttfb_ms":0}' >/dev/null
wait_for 60 server_is_idle
most=$(jq -s --argjson mark "$SERVER_MARK" 'map(select(.id > $mark)) | reduce .[] as $e (
	{now: 0, most: 0}; .now += (if $e.event == "start" then 1 else -1 end)
	| .most = ([.most, .now] | max)) | .most' "$SERVER_LOG")
connections=$(server_state connections_most)
say "at most $most requests at once, over $connections connections"
((connections <= 3)) || fail "$connections connections at once over max_connections=3"
((most <= 3)) || fail "$most requests at once over max_connections=3"
umount_clonefs
rm -r "$(state_dir_of)"

say "background_rate="
server_mark
began=$(date +%s%3N)
mount_clonefs "$URL/disk.raw" "$T/mnt" background_rate=8M
wait_hydrated
took=$(($(date +%s%3N) - began))
say "24 MiB at 8 MiB/s took $took ms"
((took >= 1500)) || fail "background_rate= is not obeyed: $took ms for 24 MiB at 8 MiB/s"
assert_same_file "$(image_of)" "$T/www/disk.raw"
umount_clonefs
