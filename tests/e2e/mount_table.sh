#!/usr/bin/env bash
# What a mount does with what its source says, by the table in docs/architecture: an existing clone
# opens without its source, but not with another one or against a refusal, unless it shall (offline).
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/disk.raw" 8M 1
cp -a "$T/www/disk.raw" "$T/expected"
start_range_server
SOURCE=$URL/disk.raw
FILE=$T/mnt/disk.raw

# Past the kernel's cache and its read-ahead, and only this region.
read_region_0() {
	dd if="$FILE" iflag=direct bs=65536 count=1 status=none | cmp -n 65536 - "$T/expected" ||
		fail "region 0 cannot be read"
}
journal_rows() {
	python3 "$E2E_DIR/journal_rows.py" "$T/state/mnt/journal.db" | tac | sed '/^open|/q'
}
# mounts STATE WARNING [OPTIONS]: it does, says so once, reads what is there and EIO or ESTALE elsewhere.
mounts() {
	local state=$1 warning=$2
	mount_clonefs "$SOURCE" "$T/mnt" "no_hydration,timeout=5s,${3:-}" 2>"$T/logs/mount"
	assert_contains "$(cat "$T/logs/mount")" "$warning" "the warning at mount"
	assert_eq "$(status_field source_state)" "$state" "source_state"
	read_region_0
	! dd if="$FILE" iflag=direct,skip_bytes skip=4194304 bs=4096 count=1 of=/dev/null \
		2>"$T/logs/read" || fail "a missing region could be read"
	[[ $state != changed ]] || assert_contains "$(cat "$T/logs/read")" "Stale" "what the reader heard"
	assert_eq "$(wc -l <"$T/logs/mount")" 1 "lines that the mount said: $(cat "$T/logs/mount")"
	umount_clonefs
	assert_eq "$(journal_rows | grep -cE '^(outage|source_changed)\|')" 1 "rows: $(journal_rows)"
	assert_contains "$(journal_rows | grep -E '^(outage|source_changed)\|')" "$warning" "the journal"
}

mount_clonefs "$SOURCE" "$T/mnt" no_hydration
read_region_0
umount_clonefs

say "unreachable: mounted, with a warning"
server_fault status '"status":503'
mounts unreachable 503
server_fault reset_before
mounts unreachable "$SOURCE"
server_fault status '"status":503'
mount_clonefs "$SOURCE" "$T/mnt" timeout=5s 2>"$T/logs/mount"
assert_contains "$(status_field reason)" 503 "why hydration waits"
umount_clonefs

say "refused by the source: not mounted, unless offline"
for status in 401 403 404; do
	server_fault status "\"status\":$status"
	mount_refused 1 "$status" "$SOURCE" "$T/mnt" no_hydration
	mounts unreachable "$status" offline
done

say "changed: not mounted, with both values, unless offline"
server_fault etag '"value":"\"other\""'
mount_refused 1 '"other"' "$SOURCE" "$T/mnt" no_hydration
mounts changed '"other"' offline
server_fault size '"value":4096'
mount_refused 1 8388608 "$SOURCE" "$T/mnt" no_hydration
mount_refused 1 4096 "$SOURCE" "$T/mnt" no_hydration
server_fault ''

say "back again: it goes on where it was"
server_mark
mount_clonefs "$SOURCE"
wait_hydrated
assert_eq "$(status_field source_state)" ok "source_state"
assert_same_file "$FILE" "$T/expected"
umount_clonefs

say "complete: the source is not contacted"
server_mark
mount_clonefs "$SOURCE"
assert_eq "$(status_field source_state)" unused "source_state"
assert_eq "$(status_field hydration)" "done" "hydration"
assert_same_file "$FILE" "$T/expected"
umount_clonefs
assert_eq "$(server_count)" 0 "requests for a complete clone"
