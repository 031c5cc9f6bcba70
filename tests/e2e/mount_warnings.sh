#!/usr/bin/env bash
# What a user of the image has to know about its source is said at every mount, once, and noted in the
# journal: a size that is no multiple of 512, versions that cannot be told apart. A clone that is
# complete has no source any more; its size matters still.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/odd.raw" $(((1 << 20) + 100)) 1
make_image "$T/source" 1M 5
start_range_server
SIZE='no multiple of 512'
WEAK='no strong ETag and no old Last-Modified'
DEVICE='is a block device'

# says SOURCE PART...: a mount says these things, one on each line, and so does the journal; it is left mounted.
says() {
	local source=$1 part rows text
	shift
	mount_clonefs "$source" "$T/mnt" no_hydration 2>"$T/logs/said"
	text=$(cat "$T/logs/said")
	assert_eq "$(wc -l <"$T/logs/said")" $# "lines that are said ($text)"
	rows=$(journal_session)
	assert_eq "$(grep -c '^warning|' <<<"$rows")" $# "warnings in the journal ($rows)"
	for part in "$@"; do
		assert_contains "$text" "$part" "what a mount says"
		assert_contains "$rows" "$part" "what the journal says"
	done
}

# journal_session: the rows since the last open. They are written when the journal says the next thing.
journal_session() {
	"$CLONECTL" set "$T/mnt" timeout=29s
	wait_for 60 journal_has '^setting|'
	"$CLONECTL" set "$T/mnt" timeout=30s
	journal_rows
}
journal_rows() {
	python3 "$E2E_DIR/journal_rows.py" "$(state_dir_of)/journal.db" | tac | sed '/^open|/q'
}
journal_has() {
	journal_rows | grep -q "$1"
}

say "over http, with weak validators"
server_control '{"faults":[{"fault":"etag","value":null},{"fault":"last_modified","value":null}]}' >/dev/null
for mount in first second; do
	say "the $mount mount"
	says "$URL/odd.raw" "$SIZE" "$WEAK"
	umount_clonefs
done

say "the source is away: what is known is said"
server_fault status '"status":503'
mount_clonefs "$URL/odd.raw" "$T/mnt" no_hydration,timeout=1s 2>"$T/logs/said"
assert_eq "$(grep -c "$SIZE" "$T/logs/said")" 1 "lines about the size"
umount_clonefs
server_fault ''

say "complete"
says "$URL/odd.raw" "$SIZE"
"$CLONECTL" resume "$T/mnt"
wait_hydrated
umount_clonefs
stop_server
says "$URL/odd.raw" "$SIZE"
umount_clonefs
rm -r "$(state_dir_of)"

say "a block device"
attach_loop "$T/source" --read-only
says "$LOOP" "$DEVICE"
umount_clonefs
says "$LOOP" "$DEVICE"
umount_clonefs
