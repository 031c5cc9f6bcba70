#!/usr/bin/env bash
# A source that fails now and then (resets, short bodies, 5xx, 429, silence, wrong replies) costs
# time but no byte; one that stays away costs EIO after the deadline, and comes back by itself.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/disk.raw" 16M
start_range_server

# Each spoils some of the requests that come after so many good ones.
FAULTS='{"clear":true,"faults":[
	{"fault":"reset_inside","after":3,"count":4},
	{"fault":"short_body","after":9,"count":4},
	{"fault":"reset_before","after":15,"count":3},
	{"fault":"close_before","after":20,"count":3},
	{"fault":"status","status":503,"after":25,"count":3},
	{"fault":"status","status":429,"retry_after":1,"after":30,"count":1},
	{"fault":"status","status":500,"after":33,"count":3},
	{"fault":"wrong_start","after":38,"count":2},
	{"fault":"whole_file","after":42,"count":2},
	{"fault":"shorter_range","after":46,"count":5},
	{"fault":"unknown_total","after":53,"count":3},
	{"fault":"gzip_encoding","after":58,"count":2},
	{"fault":"multipart","after":62,"count":2},
	{"fault":"extra_body","after":66,"count":2},
	{"fault":"garbage_after","after":70,"count":2},
	{"fault":"early_hints","after":74,"count":2},
	{"fault":"chunked","after":78,"count":2},
	{"fault":"close_after","after":82,"count":2},
	{"fault":"garbage_status_line","after":86,"count":2}]}'

assert_all_happened() {
	assert_eq "$(server_state faults | jq -c '[.[] | select(.remaining != 0) | .fault]')" '[]' \
		"faults that did not happen"
	server_fault ""
}

say "faults under the background"
mount_clonefs "$URL/disk.raw" "$T/background" no_hydration,hydration_batch_size=1
server_control "$FAULTS" >/dev/null
"$CLONECTL" resume "$T/background"
wait_hydrated "$T/background"
assert_all_happened
assert_same_file "$T/background/disk.raw" "$T/www/disk.raw"
umount_clonefs "$T/background"
assert_same_file "$T/state/background/disk.img" "$T/www/disk.raw"

say "faults under readers"
mount_clonefs "$URL/disk.raw" "$T/readers" no_hydration,max_connections=4
server_control "$FAULTS" >/dev/null
python3 "$E2E_DIR/random_readers.py" "$T/readers/disk.raw" "$T/www/disk.raw" 6 100 1
assert_all_happened
assert_same_file "$T/readers/disk.raw" "$T/www/disk.raw"
umount_clonefs "$T/readers"

say "a request that stalls goes on elsewhere"
mount_clonefs "$URL/disk.raw" "$T/stalls" no_hydration,timeout=15s
server_fault stall '"at":1000,"count":1'
assert_same_range "$T/stalls/disk.raw" "$T/www/disk.raw" 3000000 100000
server_fault no_answer '"count":1'
assert_same_range "$T/stalls/disk.raw" "$T/www/disk.raw" 5000000 100000
server_fault ""
umount_clonefs "$T/stalls"
server_control '{"release":true}' >/dev/null

say "the deadline, and the way back"
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration,timeout=5s
assert_same_range "$(image_of)" "$T/www/disk.raw" 0 65536
server_fault status '"status":503'
status=0
text=$(dd if="$(image_of)" iflag=direct bs=4096 count=1 skip=1000 of=/dev/null 2>&1) || status=$?
assert_eq "$status" 1 "a read without a source"
assert_contains "$text" "Input/output error" "the error of a read without a source"
wait_for 60 status_is source_state unreachable
drop_cached "$(image_of)"
assert_same_range "$(image_of)" "$T/www/disk.raw" 0 65536
status=0
dd if=/dev/zero of="$(image_of)" bs=4096 count=1 seek=1500 conv=notrunc status=none 2>/dev/null ||
	status=$?
assert_eq "$status" 1 "a write into a missing region without a source"
server_fault ""
reads_again() { assert_same_range "$(image_of)" "$T/www/disk.raw" 4096000 4096 2>/dev/null; }
wait_for 60 eval '(reads_again)'
wait_for 60 status_is source_state ok
"$CLONECTL" resume "$T/mnt"
wait_hydrated
assert_same_file "$(image_of)" "$T/www/disk.raw"
umount_clonefs

# outage_rows REGULAR-EXPRESSION [M]: how many the journal has.
outage_rows() {
	python3 "$E2E_DIR/journal_rows.py" "$(state_dir_of "$2")/journal.db" | grep -cE "^outage\|0\|$1" || true
}
has_outage() { (($(outage_rows "$1" "$2") > 0)); }

say "an outage that only the background meets"
for fault in status,'"status":503' no_answer,'"count":100000'; do
	quiet=$T/quiet-${fault%%,*}
	mount_clonefs "$URL/disk.raw" "$quiet" no_hydration,timeout=3s
	server_fault "${fault%%,*}" "${fault#*,}"
	"$CLONECTL" resume "$quiet"
	wait_for 60 status_is hydration waiting "$quiet"
	assert_eq "$(status_field source_state "$quiet")" unreachable "the source's state"
	assert_contains "$(status_field reason "$quiet")" unreachable "the reason"
	wait_for 60 has_outage lasting "$quiet"
	assert_eq "$(outage_rows '' "$quiet")" 1 "outages in the journal"
	server_fault ""
	server_control '{"release":true}' >/dev/null
	wait_hydrated "$quiet"
	wait_for 60 has_outage ended "$quiet"
	assert_same_file "$quiet/disk.raw" "$T/www/disk.raw"
	umount_clonefs "$quiet"
done

say "on_source_error=wait outlasts it"
mount_clonefs "$URL/disk.raw" "$T/waits" no_hydration,timeout=5s,on_source_error=wait
server_mark
server_fault status '"status":503'
cmp -n 100000 -i 2000000 "$T/waits/disk.raw" "$T/www/disk.raw" &
reader=$!
wait_for 60 server_has_seen 3
wait_for 60 status_is source_state unreachable "$T/waits"
! process_is_gone "$reader" || fail "a reader did not wait"
server_fault ""
wait "$reader" || fail "the reader that waited got something wrong"
umount_clonefs "$T/waits"
