#!/usr/bin/env bash
# sha256=: the destination is held against it when it is complete, and again after each mount; on_mismatch=fail
# makes a wrong image unreadable. What users have written to cannot be judged.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/disk.raw" 5M 1
# Holes, and an end within a region.
truncate -s 40000123 "$T/www/disk.raw"
touch -d '2020-09-13 12:26:40 UTC' "$T/www/disk.raw"
RIGHT=$(sha256_of "$T/www/disk.raw")
WRONG=$(printf '%064d' 7)
start_range_server
STATE=$T/state/mnt

# waits_for STATUS [SENTENCE-PART]: clonectl wait ends so.
waits_for() {
	local status=0 text
	text=$("$CLONECTL" wait --timeout 300s "$T/mnt" 2>&1) || status=$?
	assert_eq "$status" "$1" "exit status of wait ($text)"
	[[ -z ${2:-} ]] || assert_contains "$text" "$2" "what wait says"
}
# journal_says PATTERN, after the clone has let go
journal_says() {
	python3 "$E2E_DIR/journal_rows.py" "$STATE/journal.db" | tac | sed '/^open|/q' | grep -q "$1" ||
		fail "the journal has no $1"
}

no_page() {
	! python3 -c 'import os; os.pread(7, 4096, 0)' 2>/dev/null
}

say "ok, in capitals too"
mount_clonefs "$URL/disk.raw" "$T/mnt" "no_hydration,sha256=${RIGHT^^}"
assert_eq "$(status_field digest)" unverified "digest before it is complete"
assert_eq "$(status_field digest_expected)" true "digest_expected"
"$CLONECTL" resume "$T/mnt"
waits_for 0
assert_eq "$(status_field digest)" ok "digest"
umount_clonefs
journal_says "^digest|0|ended|ok: the image has the SHA-256 $RIGHT"

say "mounted again: looked at again, without the source"
server_mark
mount_clonefs "$URL/disk.raw" "$T/mnt" "sha256=$RIGHT"
waits_for 0
assert_eq "$(status_field digest)" ok "digest after a new mount"
umount_clonefs
assert_eq "$(server_count)" 0 "requests at the server"

say "without sha256= nothing is expected"
mount_clonefs "$URL/disk.raw"
waits_for 0
assert_eq "$(status_field digest) $(status_field digest_expected)" "unverified false" "digest"
umount_clonefs

say "a mismatch is reported, the image stays readable"
mount_clonefs "$URL/disk.raw" "$T/mnt" "sha256=$WRONG"
waits_for 1 "its digest is not the expected one"
assert_eq "$(status_field digest) $(status_field mode)" "mismatch rw" "digest and mode"
assert_same_file "$(image_of)" "$T/www/disk.raw"
umount_clonefs
journal_says "^digest|0|ended|mismatch: the image has the SHA-256 $RIGHT, expected $WRONG"

say "on_mismatch=fail: nothing is readable, not even what was read before"
rm -r "$STATE"
mount_clonefs "$URL/disk.raw" "$T/mnt" "no_hydration,sha256=$WRONG,on_mismatch=fail"
exec 7<"$(image_of)"
head -c 65536 <&7 >"$T/head"
assert_same_range "$T/head" "$T/www/disk.raw" 0 65536
"$CLONECTL" resume "$T/mnt"
waits_for 1 "expected $WRONG"
wait_for 60 status_is digest mismatch
shows_mode fail Fail
# The page was in the cache until the daemon had it dropped.
wait_for 60 no_page
! cat "$(image_of)" >/dev/null 2>&1 || fail "a wrong image can be read"
exec 7<&-
umount_clonefs
journal_says '^mode|.*|fail: the image has the SHA-256'
journal_says '^close|.*|umount; nothing was to be committed any more: the image has the SHA-256'

say "killed before it is known: the next mount finds out"
rm -r "$STATE"
mount_clonefs "$URL/disk.raw" "$T/mnt" "sha256=$RIGHT,on_mismatch=fail"
wait_for 120 status_is hydration "done"
kill_daemon
mount_clonefs "$URL/disk.raw" "$T/mnt" "sha256=$RIGHT,on_mismatch=fail"
waits_for 0
assert_eq "$(status_field digest) $(status_field mode)" "ok rw" "digest and mode after kill -9"

say "an image that users have written to is beyond judgement"
umount_clonefs
mount_clonefs "$URL/disk.raw"
printf changed | dd of="$(image_of)" bs=1 seek=12345 conv=notrunc,fsync status=none
umount_clonefs
mount_clonefs "$URL/disk.raw" "$T/mnt" "sha256=$WRONG,on_mismatch=fail"
waits_for 0
assert_eq "$(status_field digest) $(status_field mode)" "impossible rw" "digest and mode of a modified image"
umount_clonefs
journal_says '^digest|0|ended|impossible: users have written'
mount_refused 2 "expected 64 hex digits" "$URL/disk.raw" "$T/mnt" sha256=abc
mount_refused 2 "expected report or fail" "$URL/disk.raw" "$T/mnt" on_mismatch=ignore
