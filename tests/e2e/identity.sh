#!/usr/bin/env bash
# Which version a source is: one whose ETag moves is noticed and said, nothing of the other version is
# mixed in, and it heals when the pinned one is back; one node of a balancer with another ETag is asked
# again; with identity=size mirrors that disagree in everything but the size are one source.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/disk.raw" 16M
make_image "$T/www/other.raw" 16M 2
start_range_server
OTHER='{"fault":"etag","value":"\"other\""},{"fault":"ignore_conditions"}'

# read_errno OFFSET: reads there; prints ok or the errno's name.
read_errno() {
	python3 - "$(image_of)" "$1" <<-'END'
		import errno, os, sys
		try:
		    os.pread(os.open(sys.argv[1], os.O_RDONLY), 1, int(sys.argv[2]))
		    print("ok")
		except OSError as problem:
		    print(errno.errorcode[problem.errno])
	END
}

journal_has() {
	python3 "$E2E_DIR/journal_rows.py" "$(state_dir_of)/journal.db" | grep -q "$1"
}

reason_has() {
	[[ $(status_field reason) = *"$1"* ]]
}

say "changed: told what differs, and healed"
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration,timeout=120s
assert_same_range "$(image_of)" "$T/www/disk.raw" 0 1000
server_control "{\"clear\":true,\"faults\":[$OTHER]}" >/dev/null
"$CLONECTL" resume "$T/mnt"
wait_for 60 status_is source_state changed
assert_eq "$(read_errno $((16 * 1024 * 1024 - 1)))" ESTALE "a read of a missing region"
assert_eq "$(read_errno 0)" ok "a read of a hydrated region"
wait_for 60 reason_has 'its ETag was'
reason_has 'is "other" now' || fail "status does not say what it is now"
wait_for 60 journal_has 'is "other" now'
server_fault ''
"$CLONECTL" resume "$T/mnt"
wait_for 60 status_is source_state ok
wait_hydrated
assert_same_file "$(image_of)" "$T/www/disk.raw"
umount_clonefs
rm -rf "$(state_dir_of)"

say "one answer of another version is asked again"
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration,timeout=120s
server_control "{\"faults\":[{\"fault\":\"etag\",\"value\":\"\\\"other\\\"\",\"count\":1}]}" >/dev/null
assert_same_range "$(image_of)" "$T/www/disk.raw" 3000000 1000
assert_eq "$(status_field source_state)" ok "source_state"
umount_clonefs

say "at mount: refused, or as offline, or with its size only"
server_control "{\"clear\":true,\"faults\":[$OTHER]}" >/dev/null
mount_refused 1 'its ETag was' "$URL/disk.raw" "$T/mnt" no_hydration
mount_clonefs "$URL/disk.raw" "$T/mnt" offline 2>/dev/null
assert_eq "$(status_field source_state)" changed "source_state"
assert_contains "$(status_field reason)" 'its ETag was' "status"
"$CLONECTL" pause "$T/mnt"
assert_contains "$(status_field source_reason)" 'its ETag was' "what differs, of a paused clone"
assert_contains "$("$CLONECTL" status "$T/mnt")" 'its ETag was' "status for people"
umount_clonefs
mount_clonefs "$URL/disk.raw" "$T/mnt" identity=size
wait_hydrated
assert_same_file "$(image_of)" "$T/www/disk.raw"
umount_clonefs
server_control '{"clear":true}' >/dev/null
rm -rf "$(state_dir_of)"

say "mirrors: the same size is enough, another one is not"
server_control '{"faults":[{"fault":"etag","value":null,"count":3},
	{"fault":"last_modified","value":1600000000,"after":5},{"fault":"ignore_conditions"}]}' >/dev/null
mount_clonefs "$URL/disk.raw" "$T/mnt" identity=size,no_hydration,timeout=120s 2>"$T/logs/said"
assert_eq "$(cat "$T/logs/said")" '' "warnings"
server_mark
for ((offset = 0; offset < 16000000; offset += 2000000)); do
	assert_same_range "$(image_of)" "$T/www/disk.raw" "$offset" 1000
done
assert_eq "$(server_count '.headers["if-match"] or .headers["if-unmodified-since"]')" 0 "conditions"
server_fault size '"value":16000000'
assert_eq "$(read_errno $((15 * 1024 * 1024)))" ESTALE "a read when the size is another"
"$CLONECTL" resume "$T/mnt"
wait_for 60 reason_has 'its size was'
umount_clonefs
mount_refused 1 'its size was' "$URL/disk.raw" "$T/mnt" identity=size
