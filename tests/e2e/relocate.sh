#!/usr/bin/env bash
# A clone whose source has moved: taken to the new URL when that shows the same version, refused when it
# does not or cannot be asked; and URLs signed anew, which are the same clone without a word.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/disk.raw" 8M
cp -p "$T/www/disk.raw" "$T/www/moved.raw"
make_image "$T/www/changed.raw" 8M 2
touch -d '2021-01-01 UTC' "$T/www/changed.raw"
start_range_server

clone_url() {
	jq -r .source.url "$(state_dir_of)/clone.json"
}

say "only with relocate, and only with a name"
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration
assert_same_range "$(image_of)" "$T/www/disk.raw" 0 3000000
umount_clonefs
mount_refused 1 'another source' "$URL/moved.raw"
status=0
text=$("$MOUNT_CLONEFS" -o relocate "$URL/moved.raw" "$T/mnt" 2>&1) || status=$?
assert_eq "$status" 2 "exit status of relocate without name= ($text)"
mount_refused 1 'holds no clone' "$URL/moved.raw" "$T/other" relocate

say "not to another version, and not without an answer"
mount_refused 1 'its ETag was' "$URL/changed.raw" "$T/mnt" relocate
mount_refused 1 404 "$URL/none.raw" "$T/mnt" relocate,offline
mount_refused 1 connected http://127.0.0.1:1/moved.raw "$T/mnt" relocate,timeout=2s
server_control '{"faults":[{"fault":"etag","value":null},{"fault":"last_modified","value":null}]}' >/dev/null
mount_refused 1 'nothing but the size' "$URL/moved.raw" "$T/mnt" relocate
server_fault ''
assert_eq "$(clone_url)" "$URL/disk.raw" "the URL of clone.json"

say "fake changes nothing"
"$MOUNT_CLONEFS" -f -o "state_dir=$(state_dir_of),relocate" "$URL/moved.raw" "$T/mnt" 2>/dev/null
assert_eq "$(clone_url)" "$URL/disk.raw" "the URL of clone.json"

say "moved"
server_mark
mount_clonefs "$URL/moved.raw" "$T/mnt" relocate 2>"$T/logs/said"
assert_contains "$(cat "$T/logs/said")" "the source was $URL/disk.raw and is $URL/moved.raw from now on" \
	"what the mount says"
wait_hydrated
assert_same_file "$(image_of "$T/mnt" moved.raw)" "$T/www/disk.raw"
umount_clonefs
assert_eq "$(server_count '.path != "/moved.raw"')" 0 "requests for the old URL"
assert_eq "$(server_count '.start == 1048576')" 0 "requests for what was there"
assert_eq "$(clone_url)" "$URL/moved.raw" "the URL of clone.json"

say "complete: still only with a proof, and not asked any more afterwards"
mount_refused 1 'its ETag was' "$URL/changed.raw" "$T/mnt" relocate
mount_refused 1 'another source' "$URL/disk.raw"
mount_clonefs "$URL/disk.raw" "$T/mnt" relocate 2>/dev/null
assert_eq "$(status_field source_state)" unused "source_state"
umount_clonefs
server_mark
mount_clonefs "$URL/disk.raw" "$T/mnt" relocate
umount_clonefs
assert_eq "$(server_count)" 0 "requests once it is there"
rm -rf "$(state_dir_of)"

say "what the new place shows is pinned: conditions it does not know are not sent"
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration
umount_clonefs
server_control '{"faults":[{"fault":"etag","value":null}]}' >/dev/null
mount_clonefs "$URL/moved.raw" "$T/mnt" relocate 2>/dev/null
wait_hydrated
assert_same_file "$(image_of "$T/mnt" moved.raw)" "$T/www/disk.raw"
assert_eq "$(jq -r .source.etag "$(state_dir_of)/clone.json")" "" "the pinned ETag"
umount_clonefs
rm -rf "$(state_dir_of)"
server_fault ''

say "to a mirror that shows nothing but the size, if one says so"
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration
umount_clonefs
server_control '{"faults":[{"fault":"etag","value":"\"mirror\""}]}' >/dev/null
mount_refused 1 'its ETag was' "$URL/moved.raw" "$T/mnt" relocate
mount_clonefs "$URL/moved.raw" "$T/mnt" relocate,identity=size,no_hydration 2>/dev/null
umount_clonefs
say "and there its own validators count"
mount_clonefs "$URL/moved.raw" "$T/mnt" ''
wait_hydrated
assert_same_file "$(image_of "$T/mnt" moved.raw)" "$T/www/disk.raw"
umount_clonefs
rm -rf "$(state_dir_of)"
server_fault ''

say "signed anew: the same clone"
signed() {
	printf '%s/disk.raw?part=1&X-Amz-Date=%s&X-Amz-Signature=%s%s' "$URL" "$1" "$1" "$1"
}
mount_clonefs "$(signed one)" "$T/mnt" no_hydration
assert_same_range "$(image_of)" "$T/www/disk.raw" 0 100000
umount_clonefs
mount_clonefs "$(signed two)" "$T/mnt" ''
wait_hydrated
assert_same_file "$(image_of)" "$T/www/disk.raw"
umount_clonefs
mount_refused 1 'another source' "$URL/disk.raw?part=2&X-Amz-Signature=three"
