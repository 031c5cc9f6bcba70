#!/usr/bin/env bash
# Punched and zeroed ranges: whole regions count as hydrated without a fetch, edges are zeroed, the destination
# gets holes (or zeros, with no_discard_passdown), and the image says where they are.
. "$(dirname "$0")/lib.sh"

require_clonefs
REGION=65536
SIZE=$((16 << 20))
make_image "$T/www/disk.raw" 16M 1
cp "$T/www/disk.raw" "$T/expected"
start_range_server
FILE=$T/mnt/disk.raw
DESTINATION=$T/state/mnt/disk.img

# requests_between FIRST END
requests_between() {
	wait_for 60 server_is_idle
	server_overlaps "$1" $(($2 - 1))
}

# hydrated_by COMMAND...: sets HYDRATED, how many regions it made hydrated.
hydrated_by() {
	local before
	before=$(status_field regions_hydrated)
	"$@"
	HYDRATED=$(($(status_field regions_hydrated) - before))
}

mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration
# The bytes that the mount itself brought are kept a moment later.
wait_for 60 status_is regions_hydrated 1

say "a punch of whole regions fetches nothing"
server_mark
hydrated_by punch "$FILE" $((1 << 20)) $((4 << 20))
put_zeros "$T/expected" $((1 << 20)) $((4 << 20))
assert_eq "$HYDRATED" 64 "regions hydrated by the punch"
(($(allocated_bytes "$DESTINATION") <= 1 << 20)) || fail "the destination is not sparse"
assert_eq "$(status_field modified)" true "modified"

say "zero-range is the same, with and without keep-size"
hydrated_by zero_range "$FILE" $((5 << 20)) $((1 << 20))
assert_eq "$HYDRATED" 16 "regions hydrated by zero-range"
hydrated_by fallocate --zero-range --offset $((6 << 20)) --length $((1 << 20)) "$FILE"
assert_eq "$HYDRATED" 16 "regions hydrated by zero-range without keep-size"
put_zeros "$T/expected" $((5 << 20)) $((2 << 20))
assert_eq "$(server_count)" 0 "requests until now"

say "edges are fetched and zeroed, what lies between is not fetched"
hydrated_by punch "$FILE" $((8 * 1048576 + 1000)) $((5 * REGION))
put_zeros "$T/expected" $((8 * 1048576 + 1000)) $((5 * REGION))
assert_eq "$HYDRATED" 6 "regions hydrated by a punch with edges"
(($(requests_between $((8 * 1048576)) $((8 * 1048576 + REGION))) > 0)) || fail "the edge was not fetched"

say "mode 0 reserves space and hydrates nothing"
server_mark
hydrated_by try_fallocate "$FILE" 0 $((12 << 20)) $((2 << 20)) >"$T/result"
assert_eq "$(cat "$T/result")" ok "mode 0"
assert_eq "$HYDRATED" 0 "regions hydrated by mode 0"
(($(allocated_bytes "$DESTINATION") >= 2 << 20)) || fail "no space was reserved"
assert_eq "$(server_count)" 0 "requests of mode 0"

say "all of it reads as expected, and nothing is fetched for it"
assert_same_range "$FILE" "$T/expected" $((1 << 20)) $((6 << 20))
assert_same_range "$FILE" "$T/expected" $((8 * 1048576)) $((6 * REGION))
assert_eq "$(requests_between $((1 << 20)) $((7 << 20)))" 0 "requests for what was punched"
assert_eq "$(requests_between $((8 * 1048576 + REGION)) $((8 * 1048576 + 5 * REGION)))" 0 \
	"requests between the edges"

say "within one region, and within a hydrated one"
punch "$FILE" $((9 * 1048576 + 5)) 10
put_zeros "$T/expected" $((9 * 1048576 + 5)) 10
zero_range "$FILE" $((9 * 1048576 + 4096)) 8192
put_zeros "$T/expected" $((9 * 1048576 + 4096)) 8192
assert_same_range "$FILE" "$T/expected" $((9 << 20)) $REGION

say "at the image's end and behind it"
punch "$FILE" $((SIZE - 100)) 5000
put_zeros "$T/expected" $((SIZE - 100)) 100
punch "$FILE" $((SIZE + 100)) 5000
assert_eq "$(stat -c %s "$FILE")" $SIZE "size after punching behind the end"
assert_eq "$(try_fallocate "$FILE" 0x10 $((SIZE - 100)) 5000)" EFBIG "zero-range that would make it longer"
assert_eq "$(try_fallocate "$FILE" 0 $((SIZE - 100)) 5000)" EFBIG "fallocate that would make it longer"
assert_same_range "$FILE" "$T/expected" $((SIZE - REGION)) $REGION

say "other modes there are not"
for mode in 0x01 0x02 0x08 0x20 0x40 0x80; do
	assert_eq "$(try_fallocate "$FILE" $mode $((12 << 20)) $REGION)" ENOTSUP "mode $mode"
done
assert_same_range "$FILE" "$T/expected" $((12 << 20)) $((2 << 20))

say "the image knows its holes: missing regions are data, punched ones are not"
assert_eq "$(seek_in "$FILE" data 0)" 0 "data from 0"
assert_eq "$(seek_in "$FILE" hole 0)" $((1 << 20)) "hole from 0"
assert_eq "$(seek_in "$FILE" hole $((2 << 20)))" $((2 << 20)) "hole within a hole"
assert_eq "$(seek_in "$FILE" data $((1 << 20)))" $((7 << 20)) "data from the hole"
# Zeros in a region that was only partly punched may be either.
next=$(seek_in "$FILE" hole $((7 << 20)))
((next > 8 << 20 && next <= (8 << 20) + REGION)) || fail "the next hole is at $next"
assert_eq "$(seek_in "$FILE" hole $((11 << 20)))" $SIZE "the hole at the end"
assert_eq "$(seek_in "$FILE" data $SIZE)" ENXIO "data from the end"

say "all that is still so after a kill and a remount"
"$CLONECTL" flush "$T/mnt"
kill_daemon
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration
server_mark
assert_same_range "$FILE" "$T/expected" $((1 << 20)) $((6 << 20))
assert_same_range "$FILE" "$T/expected" $((8 * 1048576)) $((6 * REGION))
assert_eq "$(requests_between $((1 << 20)) $((7 << 20)))" 0 "requests for what was punched before the kill"
"$CLONECTL" resume "$T/mnt"
wait_hydrated
assert_same_file "$FILE" "$T/expected"
umount_clonefs
assert_same_file "$DESTINATION" "$T/expected"
assert_eq "$(seek_in "$DESTINATION" hole $((1 << 20)))" $((1 << 20)) "the destination's hole"
assert_eq "$(seek_in "$DESTINATION" data $((1 << 20)))" $((7 << 20)) "the destination's data behind it"

say "no_discard_passdown zeroes instead"
mount_clonefs "$URL/disk.raw" "$T/mnt2" no_hydration,no_discard_passdown
wait_for 60 status_is regions_hydrated 1 "$T/mnt2"
server_mark
punch "$T/mnt2/disk.raw" $((1 << 20)) $((4 << 20))
zero_range "$T/mnt2/disk.raw" $((6 << 20)) $((1 << 20))
assert_eq "$(server_count)" 0 "requests for what was zeroed"
assert_eq "$(status_field regions_hydrated "$T/mnt2")" 81 "regions hydrated (the first is the mount's)"
(($(allocated_bytes "$T/state/mnt2/disk.img") >= (5 << 20))) || fail "there are holes"
assert_eq "$(head -c $((5 << 20)) "$T/mnt2/disk.raw" | tail -c $((4 << 20)) | tr -d '\0' | wc -c)" 0 \
	"bytes that are not zero"
umount_clonefs "$T/mnt2"
