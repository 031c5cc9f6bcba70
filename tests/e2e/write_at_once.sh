#!/usr/bin/env bash
# Writes to parts of missing regions land while the source answers nothing, and are read again; an
# fsync waits for the rest, fails with the source, and is tried again; a kill leaves the source's
# sectors or the written ones; an umount tells what it could not keep; and with a source that is
# known to be away writes wait for it.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/disk.raw" 16M 1
cp "$T/www/disk.raw" "$T/expected"
start_range_server
FILE=$T/mnt/disk.raw
STATE=$T/state/mnt
scattered() { python3 "$E2E_DIR/scattered_writes.py" "$@"; }
sync_file() { python3 -c 'import os, sys; os.fsync(os.open(sys.argv[1], os.O_RDWR))' "$FILE"; }
source_answers() { server_control "{\"paused\": $([[ $1 = yes ]] && echo false || echo true)}" >/dev/null; }

say "100 writes land, and are read, before the source has sent a byte"
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration
source_answers no
before=$(status_field bytes_from_source)
scattered write "$FILE" "$T/expected" 100 7
scattered check "$FILE" "$T/expected" 100 7
assert_eq "$(status_field bytes_from_source)" "$before" "bytes of the source"
assert_eq "$(status_field modified)" true "modified"

say "an fsync waits for the rest of their regions"
server_mark
sync_file &
syncing=$!
wait_for 60 server_has_seen 1
! process_is_gone "$syncing" || fail "the fsync has not waited"
(($(committed_count "$(metadata_of)") <= 1)) || fail "regions that are not whole are committed"
source_answers yes
wait "$syncing"
assert_eq "$(committed_count "$(metadata_of)")" "$(status_field regions_hydrated)" "committed regions"
assert_same_file "$FILE" "$T/expected"

say "kill -9: what was synced is there, each other sector is the source's or the written one"
kill_daemon
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration
assert_same_file "$FILE" "$T/expected"
umount_clonefs
rm -rf "$STATE"
cp "$T/www/disk.raw" "$T/expected"
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration
source_answers no
scattered write "$FILE" "$T/expected" 80 8
kill_daemon
source_answers yes
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration
say "$(scattered either "$FILE" "$T/www/disk.raw" "$T/expected") written sectors are left"
umount_clonefs

say "an fsync fails with the source, nothing is lost by that, and the next one succeeds"
rm -rf "$STATE"
cp "$T/www/disk.raw" "$T/expected"
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration,timeout=2
source_answers no
scattered write "$FILE" "$T/expected" 20 9
! sync_file 2>"$T/logs/sync" || fail "an fsync has succeeded without the source"
assert_contains "$(cat "$T/logs/sync")" "Input/output error" "the fsync's error"
assert_eq "$(status_field mode)" rw "mode"
scattered check "$FILE" "$T/expected" 20 9

say "the source is known to be away: writes wait for it"
wait_for 60 status_is source_state unreachable
cp "$T/expected" "$T/elsewhere"
! scattered write "$FILE" "$T/elsewhere" 1 10 2>/dev/null || fail "a write has succeeded"
source_answers yes
wait_for 60 status_is source_state ok
sync_file
assert_same_file "$FILE" "$T/expected"
umount_clonefs

say "an umount without the source ends, and the journal names what was not kept"
rm -rf "$STATE"
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration
source_answers no
printf 'x%.0s' {1..4096} | dd of="$FILE" bs=4096 seek=160 conv=notrunc status=none
umount_clonefs
source_answers yes
assert_contains "$(python3 "$E2E_DIR/journal_rows.py" "$STATE/journal.db")" "lost|1|ended|10" "the journal"
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration
assert_same_file "$FILE" "$T/www/disk.raw"
umount_clonefs
