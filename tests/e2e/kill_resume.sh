#!/usr/bin/env bash
# kill -9 in the middle of hydration, then a mount over the dead mountpoint: no committed region is
# fetched again, and the rest arrives.
. "$(dirname "$0")/lib.sh"

require_clonefs
REGION=65536
make_image "$T/www/disk.raw" 64M
start_range_server --rate 262144
: >"$T/committed"

# Since the last mount. Whether the source is the same, and whether it is there when it has said nothing
# for a second, is asked with the image's first byte alone.
assert_left_alone() {
	local first last
	while read -r first last; do
		assert_eq "$(server_count ".end > 0" ".start < $(((last + 1) * REGION))" \
			".end >= $((first * REGION))")" 0 \
			"requests for the committed regions $first-$last"
	done <"$T/committed"
}

mount_clonefs "$URL/disk.raw" "$T/mnt" hydration_batch_size=2
for round in 1 2 3; do
	wait_for 120 status_at_least regions_committed $((round * 60))
	kill_daemon
	assert_left_alone
	committed_ranges "$(metadata_of)" >"$T/committed"
	(($(committed_count "$(metadata_of)") >= round * 60)) || fail "committed regions were lost"
	server_mark
	mount_clonefs "$URL/disk.raw" "$T/mnt" hydration_batch_size=2
done

server_control '{"rate":0}' >/dev/null
assert_same_file "$(image_of)" "$T/www/disk.raw"
wait_hydrated
umount_clonefs
assert_left_alone
say "$(wc -l <"$T/committed") committed ranges were left alone"
assert_same_file "$(state_dir_of)/disk.img" "$T/www/disk.raw"
