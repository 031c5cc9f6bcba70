#!/usr/bin/env bash
# Two clones at once on one host; a second mount of the same state folder, destination or metadata is
# refused with a sentence and disturbs nobody.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/one.raw" 40M 1
make_image "$T/www/two.raw" 30M 2
start_range_server

mount_clonefs "$URL/one.raw" "$T/one" &
first=$!
mount_clonefs "$URL/two.raw" "$T/two" "dest=$T/two.img,metadata=$T/two.meta"
wait "$first"
at_exit unmount_clone_at_exit "$T/one"
cmp "$T/one/one.raw" "$T/www/one.raw" &
first=$!
assert_same_file "$T/two/two.raw" "$T/www/two.raw"
wait "$first" || fail "the first image is wrong"
assert_eq "$("$CLONECTL" list --json | jq length)" 2 "clones in the list"
status=0
"$CLONECTL" status 2>/dev/null || status=$?
assert_eq "$status" 2 "exit status without a TARGET when two run"

say "refusals"
before=$(sha256_of "$T/two.meta")
mount_refused 1 "in use" "$URL/one.raw" "$T/again" "state_dir=$T/state/one"
mount_refused 1 "$T/two.img" "$URL/two.raw" "$T/again" \
	"state_dir=$T/state/new,dest=$T/two.img,metadata=$T/new.meta,overwrite_dest"
mount_refused 1 "$T/two.meta" "$URL/two.raw" "$T/again" \
	"state_dir=$T/state/new,dest=$T/new.img,metadata=$T/two.meta"
mount_refused 1 "$T/state/one/disk.img" "$URL/one.raw" "$T/again" \
	"state_dir=$T/state/new,dest=$T/state/one/disk.img,overwrite_dest"
[[ ! -e $T/state/new/clone.json ]] || fail "a refused mount has made a clone"
[[ ! -e $T/new.img && ! -e $T/new.meta ]] || fail "a refused mount has made files"

wait_hydrated "$T/one"
wait_hydrated "$T/two"
umount_clonefs "$T/one"
umount_clonefs "$T/two"
assert_same_file "$T/state/one/disk.img" "$T/www/one.raw"
assert_same_file "$T/two.img" "$T/www/two.raw"
