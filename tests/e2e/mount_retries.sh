#!/usr/bin/env bash
# One bad moment of the source refuses no mount: what may pass (5xx, 429, a reset, silence) is asked about
# again; what does not pass is refused with one sentence, and what is final at once.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/disk.raw" 1M 1
start_range_server
CLONE=$(state_dir_of)

# passes FAULT PARAMETERS [TIMEOUT]: a mount meets it once and is none the wiser.
passes() {
	say "once: $1 $2"
	server_fault "$1" "\"count\":1${2:+,$2}"
	server_mark
	mount_clonefs "$URL/disk.raw" "$T/mnt" "no_hydration,timeout=${3:-30s}" 2>"$T/logs/mount"
	assert_eq "$(cat "$T/logs/mount")" "" "what the mount said"
	assert_eq "$(server_count)" 2 "requests of the mount"
	assert_eq "$(status_field source_state)" ok "source_state"
	umount_clonefs
}

say "a new clone"
for fault in 'status "status":503' 'status "status":500' 'status "status":429,"retry_after":1' \
	'reset_before ' 'close_before '; do
	passes "${fault%% *}" "${fault#* }"
	rm -r "$CLONE"
done
# Given up after a third of the time.
passes no_answer '' 15s
server_control '{"release":true}' >/dev/null
rm -r "$CLONE"

say "an existing one"
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration
umount_clonefs
passes status '"status":503'

say "for good"
rm -r "$CLONE"
# final COUNT FAULT PARAMETERS PART OPTIONS: refused after at least (+) or exactly so many requests.
final() {
	server_fault "$2" "$3"
	server_mark
	mount_refused 1 "$4" "$URL/disk.raw" "$T/mnt" "$5"
	if [[ $1 = *+ ]]; then
		(($(server_count) >= ${1%+})) || fail "requests for $2 $3: $(server_count)"
	else
		assert_eq "$(server_count)" "$1" "requests for $2 $3"
	fi
	server_fault ''
}
final 2+ status '"status":503' 503 timeout=10s
final 1 status '"status":503,"retry_after":100' 503 timeout=30s
for status in 401 403 404; do
	final 1 status "\"status\":$status" "$status" timeout=30s
done
final 1 whole_file '' range timeout=30s
