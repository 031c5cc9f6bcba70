#!/usr/bin/env bash
# clonectl pause ends all background requests (the server's log proves it) while reads still hydrate;
# resume goes on, and wait returns 0 at 100 %.
. "$(dirname "$0")/lib.sh"

require_clonefs
REGION=65536
make_image "$T/www/disk.raw" 128M
# 32 KiB/s and connection: it takes minutes unless the brake is let go.
start_range_server --rate 32768

mount_clonefs "$URL/disk.raw" "$T/mnt" hydration_batch_size=1
wait_for 60 server_has_seen 8
assert_eq "$(status_field hydration)" running "hydration before the pause"
"$CLONECTL" pause "$T/mnt"
assert_eq "$(status_field hydration)" paused "hydration"
assert_eq "$(status_field regions_hydrating)" 0 "regions in flight after the pause"
[[ $(status_field reason) != null ]] || fail "a paused clone gives no reason"
assert_eq "$("$CLONECTL" status "$T/mnt" | grep -o paused)" paused "how often status says it"
assert_eq "$(committed_count "$(metadata_of)")" "$(status_field regions_hydrated)" \
	"regions committed by the pause"
server_control '{"rate":0}' >/dev/null
wait_for 60 server_is_idle

# But for a source's first byte, when it has said nothing for a second.
say "reads hydrate, and nothing else is asked for"
server_mark
mapfile -t missing < <(missing_regions "$(metadata_of)" 25)
before=$(status_field regions_hydrated)
for region in "${missing[@]}"; do
	dd if="$(image_of)" iflag=direct bs=4096 count=1 skip="$((region * REGION / 4096))" \
		of="$T/page" status=none
	cmp -n 4096 -i "0:$((region * REGION))" "$T/page" "$T/www/disk.raw" >&2 ||
		fail "region $region is wrong"
done
assert_eq "$(status_field regions_hydrated)" "$((before + 25))" "regions hydrated by reads"
assert_eq "$(server_count '.end > 0')" 25 "requests during the pause"
for region in "${missing[@]}"; do
	assert_eq "$(server_count ".start == $((region * REGION))" \
		".end == $((region * REGION + REGION - 1))")" 1 "requests for region $region"
done
status=0
text=$("$CLONECTL" wait --timeout 1ms "$T/mnt" 2>&1) || status=$?
assert_eq "$status" 1 "wait --timeout of a paused clone"
assert_contains "$text" paused "what wait says about a paused clone"
assert_eq "$(server_count '.end > 0')" 25 "requests during the pause"

say "resume goes on"
"$CLONECTL" resume "$T/mnt"
wait_hydrated
assert_eq "$(status_field hydration)" "done" "hydration"
assert_eq "$(status_field regions_committed)" "$(status_field regions_total)" "committed regions"
umount_clonefs
assert_same_file "$(state_dir_of)/disk.img" "$T/www/disk.raw"
