#!/usr/bin/env bash
# kill -9 while the digest is being computed: nothing is known of it then, and the next mount computes it anew.
. "$(dirname "$0")/lib.sh"

require_clonefs
# Seconds of work for the digest, an instant for the hydration.
truncate -s 2G "$T/www/disk.raw"
printf begin | dd of="$T/www/disk.raw" conv=notrunc status=none
touch -d '2020-09-13 12:26:40 UTC' "$T/www/disk.raw"
RIGHT=$(sha256_of "$T/www/disk.raw")

mount_clonefs "$T/www/disk.raw" "$T/mnt" "region_size=1M,no_hydration,sha256=$RIGHT,on_mismatch=fail"
PID=$(status_field pid)
"$CLONECTL" resume "$T/mnt" &
digest_begins() { TASK=$(grep -s -l '^clonefs-digest$' /proc/"$PID"/task/*/comm); }
wait_for 120 digest_begins
# It is at it: its thread has used the processor, in ticks.
is_computing() { (($(cut -d ')' -f 2 "${TASK%/comm}/stat" | awk '{ print $12 }') >= 5)); }
wait_for 120 is_computing
# Stopped first, so that what is seen is what is killed.
kill -STOP "$PID"
kill -KILL "$PID"
wait_for 60 process_is_gone "$PID"
! python3 "$E2E_DIR/journal_rows.py" "$(state_dir_of)/journal.db" | grep '^digest|' >&2 ||
	fail "the digest was known before the kill: nothing was interrupted"

mount_clonefs "$T/www/disk.raw" "$T/mnt" "sha256=$RIGHT,on_mismatch=fail"
wait_hydrated
assert_eq "$(status_field digest) $(status_field mode)" "ok rw" "digest and mode after kill -9"
umount_clonefs
