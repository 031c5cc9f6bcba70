#!/usr/bin/env bash
# The metadata device fails in the middle: the clone becomes read-only, what was written and is not
# recorded reads as EIO, also where the kernel had it in its cache, and the rest goes on.
. "$(dirname "$0")/lib.sh"

require_clonefs
[[ $CLONEFS_E2E_ISOLATED = yes ]] || skip "needs a mount namespace of its own"
make_image "$T/www/disk.raw" 4M 1
cp -a "$T/www/disk.raw" "$T/expected"
start_range_server

# A block device that cannot be written where it has not been before, once its tmpfs is full.
mkdir "$T/small"
mount -t tmpfs -o size=512k tmpfs "$T/small"
at_exit umount -l "$T/small"
truncate -s 1M "$T/small/metadata"
attach_loop "$T/small/metadata"
mount_clonefs "$URL/disk.raw" "$T/mnt" "no_hydration,metadata=$LOOP"
FILE=$T/mnt/disk.raw

# put CHARACTER OFFSET LENGTH FILE
put() {
	head -c "$3" /dev/zero | tr '\0' "$1" |
		dd of="$4" bs=65536 iflag=fullblock oflag=seek_bytes seek="$2" conv=notrunc status=none
}
put a 1048576 65536 "$FILE"
put a 1048576 65536 "$T/expected"
sync "$FILE"

dd if=/dev/zero of="$T/small/fill" bs=4096 status=none 2>/dev/null || true
put b 1048576 100 "$FILE" # in a region that is recorded
put b 1048576 100 "$T/expected"
put c 2097152 65536 "$FILE" # in one that cannot be recorded now
! sync "$FILE" 2>/dev/null || fail "a commit to a full device succeeded"
wait_for 60 status_is mode ro
assert_eq "$(status_field read_only)" false "read_only, which is about -o ro"
assert_eq "$(status_field hydration)" stopped "hydration"

eio() {
	local status=0 text
	text=$("$@" 2>&1) || status=$?
	[[ $status != 0 ]] || fail "no error: $*"
	assert_contains "$text" "Input/output error" "what went wrong with: $*"
}
# Buffered: the pages were in the cache until the daemon had them dropped.
is_eio() { ! dd if="$FILE" bs=4096 count=1 skip=2097152 iflag=skip_bytes of=/dev/null status=none 2>/dev/null; }
wait_for 60 is_eio
eio dd if="$FILE" bs=4096 count=1 skip=2097152 iflag=skip_bytes,direct of=/dev/null status=none
eio put d 0 10 "$FILE"
assert_same_range "$FILE" "$T/expected" 1048576 65536
assert_same_range "$FILE" "$T/expected" 3145728 65536
eio sync "$FILE"
umount_clonefs "$T/mnt"
assert_contains "$(python3 "$E2E_DIR/journal_rows.py" "$T/state/mnt/journal.db" | tail -n 1)" \
	"close|0|ended|umount; the last commit failed: nothing could be committed" "the last row"

say "with a device that works again, everything that was recorded is there"
rm "$T/small/fill"
mount_clonefs "$URL/disk.raw" "$T/mnt" "no_hydration,metadata=$LOOP"
assert_eq "$(status_field mode)" rw "mode"
assert_same_file "$FILE" "$T/expected"
put d 0 10 "$FILE"
sync "$FILE"
umount_clonefs
