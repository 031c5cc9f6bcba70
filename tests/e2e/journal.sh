#!/usr/bin/env bash
# The journal tells what happened to a clone over several mounts; a damaged one, one of a newer
# version and one that is locked fail no mount.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/disk.raw" 8M 1
start_range_server
JOURNAL=$(state_dir_of)/journal.db

rows() {
	python3 "$E2E_DIR/journal_rows.py" "$JOURNAL"
}

# has_rows COUNT REGULAR-EXPRESSION, for wait_for: rows are written a moment after their event.
has_rows() {
	(($(rows | grep -cE -- "$2") == $1))
}

say "settings, an outage, kill -9"
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration,timeout=1s
assert_eq "$(stat -c %a "$JOURNAL")" 600 "mode of the journal"
"$CLONECTL" set "$T/mnt" background_rate=50M
server_fault status '"status":503'
! cat "$(image_of)" >/dev/null 2>"$T/logs/cat" || fail "a read of a source that is away succeeded"
wait_for 60 has_rows 1 '^outage\|0\|lasting\|.+'
wait_for 60 has_rows 1 '^setting\|0\|ended\|background_rate=50M$'
kill_daemon

say "recovery, pause and resume, all of it here"
server_fault ''
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration
wait_for 60 has_rows 1 '^recovery\|'
"$CLONECTL" resume "$T/mnt"
wait_hydrated
wait_for 60 has_rows 1 '^milestone\|100\|'
wait_for 60 has_rows 1 '^done\|'
umount_clonefs
has_rows 1 '^resume\|' || fail "no row of the resume: $(rows)"
assert_eq "$(rows | tail -n 1 | cut -d '|' -f 1)" close "the last row"
# Who saw the outage begin was killed; nobody knows when it ended.
has_rows 1 '^outage\|0\|lasting\|' || fail "the outage: $(rows)"
[[ ! -s $JOURNAL-wal ]] || fail "the write-ahead log was left behind"

say "a start that fails"
if [[ $CLONEFS_E2E_ISOLATED = yes ]]; then
	mount --bind /dev/null /dev/fuse
	! mount_clonefs "$URL/disk.raw" "$T/mnt" 2>"$T/logs/failed" || fail "mounted without /dev/fuse"
	umount /dev/fuse
	assert_contains "$(rows | tail -n 1)" "close|0|ended|failed start: " "the last row"
fi

say "a damaged journal"
printf 'this is not a database, not at all' >"$JOURNAL"
mount_clonefs "$URL/disk.raw" "$T/mnt" 2>"$T/logs/damaged"
grep -q 'is damaged' "$T/logs/damaged"
umount_clonefs
assert_eq "$(rows | sed -n '1s/|.*//p')" damaged "the first row of the new journal"
[[ -f $JOURNAL.bad-1 ]] || fail "the damaged journal was not kept"

say "a journal of a newer version"
python3 -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute("PRAGMA user_version=999")' \
	"$JOURNAL"
before=$(sha256sum <"$JOURNAL")
mount_clonefs "$URL/disk.raw" "$T/mnt" 2>"$T/logs/newer"
grep -q 'no journal is kept: .*999' "$T/logs/newer"
cmp "$(image_of)" "$T/www/disk.raw"
umount_clonefs
assert_eq "$(sha256sum <"$JOURNAL")" "$before" "the newer journal"

say "a journal that somebody holds locked"
rm "$JOURNAL"
mkfifo "$T/locked" "$T/unlock"
python3 - "$JOURNAL" "$T/locked" "$T/unlock" <<'END' &
import sqlite3
import sys

database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
open(sys.argv[2], "w").close()
open(sys.argv[3]).close()
END
locker=$!
at_exit stop_process "$locker"
cat "$T/locked"
mount_clonefs "$URL/disk.raw" "$T/mnt" 2>"$T/logs/locked"
grep -q 'cannot be written' "$T/logs/locked"
cmp "$(image_of)" "$T/www/disk.raw"
: >"$T/unlock"
wait "$locker"
wait_for 60 has_rows 1 '^open\|'
umount_clonefs
