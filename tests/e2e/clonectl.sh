#!/usr/bin/env bash
# clonectl against a running clone: every command, its exit statuses, and status --json with every
# field in the right type.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/disk.raw" 20M
# 8 KiB/s and connection: it takes minutes unless the brake is let go.
start_range_server --rate 8192

# exits STATUS COMMAND...: sets TEXT to what it prints.
exits() {
	local expected=$1 status=0
	shift
	TEXT=$("$@" 2>&1) || status=$?
	assert_eq "$status" "$expected" "exit status of: $* ($TEXT)"
}

say "without a clone"
exits 0 "$CLONECTL" list
assert_eq "$TEXT" "" "an empty list"
exits 0 "$CLONECTL" list --json
assert_eq "$TEXT" "[]" "an empty list as JSON"
exits 2 "$CLONECTL" status
exits 1 "$CLONECTL" status no-such-clone
exits 2 "$CLONECTL"
exits 2 "$CLONECTL" no-such-command
exits 2 "$CLONECTL" status --no-such-option
exits 2 "$CLONECTL" wait --timeout soon
exits 2 "$CLONECTL" set
exits 0 "$CLONECTL" --help
assert_contains "$TEXT" dmsetup "the help"
exits 0 "$CLONECTL" version
assert_contains "$TEXT" "$("$MOUNT_CLONEFS" -V | grep -o '[0-9.]*$')" "the version"
exits 1 "$CLONECTL" check "$T/none"
exits 1 "$CLONECTL" dump "$T/none"

mount_clonefs "$URL/disk.raw" "$T/mnt" hydration_batch_size=1
NAME=$(clone_name "$T/mnt")
STATE=$(state_dir_of)

say "TARGET in each form"
for target in "/run/clonefs/$NAME.sock" "$T/mnt" "$(image_of)" "$STATE" "$NAME"; do
	[[ $target != /run/* || $CLONEFS_E2E_ISOLATED = yes ]] || continue
	exits 0 "$CLONECTL" status --json "$target"
	assert_eq "$(jq -r .name <<<"$TEXT")" "$NAME" "the clone behind $target"
done
exits 1 "$CLONECTL" status "$T/www"

say "status"
exits 0 "$CLONECTL" status --json "$T/mnt"
wrong=$(jq -r '
	def is(t): type == t;
	def integer: type == "number" and . == floor and . >= 0;
	[("name","source","mountpoint","image","state_dir","destination","metadata","mode","hydration",
	  "source_state","source_reason","digest","version") as $f | select(.[$f] | is("string") | not) | $f],
	[("size","region_size","regions_total","regions_hydrated","regions_committed",
	  "regions_hydrating","hydration_threshold","hydration_batch_size","metadata_blocks_used",
	  "metadata_blocks_total","bytes_from_source","requests","rate_bytes_per_second",
	  "uptime_seconds","pid","api_version") as $f | select(.[$f] | integer | not) | $f],
	[("read_only","modified") as $f | select(.[$f] | is("boolean") | not) | $f],
	[("reason") as $f | select(.[$f] | (. == null or is("string")) | not) | $f],
	[("eta_seconds") as $f | select(.[$f] | (. == null or integer) | not) | $f],
	[("reason","eta_seconds") as $f | select(has($f) | not) | $f]
	| .[]' <<<"$TEXT")
assert_eq "$wrong" "" "fields that are missing or of the wrong type"
assert_eq "$(jq -c '[.name, .mountpoint, .image, .state_dir, .destination, .metadata, .mode, .size,
	.region_size, .regions_total, .hydration_batch_size, .hydration_threshold, .read_only, .modified,
	.digest, .source_state]' <<<"$TEXT")" \
	"$(jq -nc --arg n "$NAME" --arg t "$T" --arg s "$STATE" '[$n, "\($t)/mnt", "\($t)/mnt/disk.raw",
		$s, "\($s)/disk.img", "\($s)/metadata", "rw", 20971520, 65536, 320, 1, 1024, false, false,
		"unverified", "ok"]')" "values of the status"
assert_eq "$(jq -r .source <<<"$TEXT")" "$URL/disk.raw" "source"
kill -0 "$(jq .pid <<<"$TEXT")"
exits 0 "$CLONECTL" status "$T/mnt"
for part in "$NAME" "$T/mnt" "$URL/disk.raw" running %; do
	assert_contains "$TEXT" "$part" "status for people"
done
exits 0 "$CLONECTL" list
assert_contains "$TEXT" "$NAME" "the list"
exits 0 "$CLONECTL" list --json
assert_eq "$(jq -r '.[0].name' <<<"$TEXT")" "$NAME" "the list as JSON"
# With one clone running, TARGET may be left out.
exits 0 "$CLONECTL" status --json

say "wait, pause, flush, dmsetup, set"
exits 1 "$CLONECTL" wait --timeout 100ms "$T/mnt"
assert_contains "$TEXT" % "what wait says when the time is up"
exits 1 "$CLONECTL" wait --exit --timeout 100ms "$STATE"
exits 0 "$CLONECTL" pause "$T/mnt"
server_control '{"rate":0}' >/dev/null
exits 0 "$CLONECTL" dmsetup "$T/mnt"
[[ $TEXT =~ ^0\ 40960\ clone\ 8\ ([0-9]+)/([0-9]+)\ 128\ ([0-9]+)/320\ ([0-9]+)\ 0\ 4\ hydration_threshold\ 1024\ hydration_batch_size\ 1\ rw$ ]] ||
	[[ $TEXT =~ ^0\ 40960\ clone\ 8\ ([0-9]+)/([0-9]+)\ 128\ ([0-9]+)/320\ ([0-9]+)\ [0-9]+\ [a-z_\ ]+\ 4\ hydration_threshold\ 1024\ hydration_batch_size\ 1\ rw$ ]] ||
	fail "the dmsetup line: $TEXT"
assert_eq "${BASH_REMATCH[3]}" "$(committed_count "$STATE/metadata")" "hydrated in the dmsetup line"
assert_eq "${BASH_REMATCH[1]}" "$(status_field metadata_blocks_used)" "used blocks in the dmsetup line"
assert_eq "${BASH_REMATCH[2]}" "$(status_field metadata_blocks_total)" "all blocks in the dmsetup line"
exits 0 "$CLONECTL" dmsetup --noflush "$T/mnt"
printf x | dd of="$(image_of)" bs=1 seek=20000000 conv=notrunc status=none
exits 0 "$CLONECTL" flush "$T/mnt"
assert_eq "$(status_field regions_committed)" "$(status_field regions_hydrated)" "committed after flush"
assert_eq "$(status_field modified)" true "modified after a write"
exits 0 "$CLONECTL" set "$T/mnt" hydration_batch_size=4 timeout=7s
assert_eq "$(status_field hydration_batch_size)" 4 "hydration_batch_size after set"
exits 0 "$CLONECTL" dmsetup --noflush "$T/mnt"
assert_contains "$TEXT" " 1 no_hydration 4 " "the dmsetup line of a paused clone"
exits 0 "$CLONECTL" set "$T/mnt" hydration_threshold=0
exits 0 "$CLONECTL" resume "$T/mnt"
assert_eq "$(status_field hydration)" paused "hydration with a threshold of 0"
exits 0 "$CLONECTL" dmsetup --noflush "$T/mnt"
assert_contains "$TEXT" " 0 4 hydration_threshold 0 " "the dmsetup line with a threshold of 0"
exits 0 "$CLONECTL" pause "$T/mnt"
exits 0 "$CLONECTL" set "$T/mnt" hydration_threshold=1024
exits 2 "$CLONECTL" set "$T/mnt" hydration_batch_size=many
exits 2 "$CLONECTL" set "$T/mnt" no_such_setting=1

say "check and dump of metadata in use"
exits 0 "$CLONECTL" check "$STATE/metadata"
exits 0 "$CLONECTL" check --json "$STATE/metadata"
assert_eq "$(jq -c . <<<"$TEXT")" '{"clean":true,"findings":[]}' "check --json"
exits 0 "$CLONECTL" dump --json "$STATE/metadata"
assert_eq "$(jq -c '[.nr_regions, .region_size, .target_size,
	([.hydrated_ranges[] | .[1] - .[0] + 1] | add) == .hydrated,
	(.metadata_blocks_used | type), (.metadata_blocks_total | type)]' <<<"$TEXT")" \
	'[320,128,40960,true,"number","number"]' "dump --json"
exits 0 "$CLONECTL" dump "$STATE/metadata"

say "resume, wait to the end, wait for the end"
exits 0 "$CLONECTL" resume "$T/mnt"
exits 0 "$CLONECTL" wait "$T/mnt"
assert_eq "$(status_of | jq -c '[.hydration, .reason, .eta_seconds, .regions_committed]')" \
	'["done",null,null,320]' "status of a complete clone"
umount "$T/mnt"
exits 0 "$CLONECTL" wait --exit --timeout 60s "$STATE"
exits 1 "$CLONECTL" status "$NAME"

say "damage"
cp "$STATE/metadata" "$T/damaged"
printf x | dd of="$T/damaged" bs=1 seek=100 conv=notrunc status=none
exits 1 "$CLONECTL" check --json "$T/damaged"
assert_eq "$(jq -c '[.clean, (.findings | length > 0), (.findings[0] | keys)]' <<<"$TEXT")" \
	'[false,true,["block","expected","found","what"]]' "check --json of a damaged block"
exits 1 "$CLONECTL" dump "$T/damaged"
