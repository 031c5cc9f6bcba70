#!/usr/bin/env bash
# The metadata device or the destination fails in the middle: the clone becomes read-only, what was written and
# is not safe reads as EIO, also where the kernel had it in its cache, and the rest goes on. A destination that
# became shorter fails all of the clone. Status, journal and dmsetup say so.
. "$(dirname "$0")/lib.sh"

require_clonefs
[[ $CLONEFS_E2E_ISOLATED = yes ]] || skip "needs a mount namespace of its own"
make_image "$T/www/disk.raw" 4M 1
start_range_server
FILE=$T/mnt/disk.raw

# become_read_only OPTION: the device given by that option breaks; region 16 was written and committed before, 32 is
# written then.
become_read_only() {
	local expected=$T/expected-$1
	cp -a "$T/www/disk.raw" "$expected"
	mount_clonefs "$URL/disk.raw" "$T/mnt" "no_hydration,$1=$LOOP"
	write_range a 1048576 65536 "$FILE" "$expected"
	sync "$FILE"
	break_device "$1"
	if [[ $1 = metadata ]]; then
		write_range b 1048576 100 "$FILE" "$expected" # in a region that is recorded
	fi
	write_range c 2097152 65536 "$FILE"
	! sync "$FILE" 2>/dev/null || fail "a commit to a full device succeeded"
	wait_for 60 status_is mode ro
	assert_eq "$(status_field read_only)" false "read_only, which is about -o ro"
	assert_eq "$(status_field hydration)" stopped "hydration"
	shows_mode ro ro
	wait_for 60 has_row "$T/state/mnt" '^lost\|1\|ended\|32$'
	# Buffered: the pages were in the cache until the daemon had them dropped.
	wait_for 60 is_eio 2097152
	eio read_page 2097152
	eio read_page 2097152 direct
	eio write_range d 0 10 "$FILE"
	assert_same_range "$FILE" "$expected" 1048576 65536
	assert_same_range "$FILE" "$expected" 3145728 65536
	eio sync "$FILE"
	umount_clonefs "$T/mnt"
	assert_contains "$(journal_rows "$T/state/mnt" | tail -n 1)" \
		"close|0|ended|umount; the last commit failed: nothing could be committed" "the last row"

	say "with room again, everything that was recorded is there"
	repair_device "$1"
	mount_clonefs "$URL/disk.raw" "$T/mnt" "no_hydration,$1=$LOOP"
	assert_eq "$(status_field mode)" rw "mode"
	assert_same_file "$FILE" "$expected"
	write_range d 0 10 "$FILE"
	sync "$FILE"
	umount_clonefs
	rm -r "$T/state/mnt"
}

say "the metadata device fails"
attach_failing_loop metadata 1M 512k
become_read_only metadata

say "the destination fails"
attach_failing_loop dest 4M 8M
become_read_only dest

# The kernel begins to write a while before the commit that syncs, and it is that sync which has to tell. Region 0 has
# its blocks already; its commit, which begins the second until the next one, succeeds.
say "the destination fails between two commits"
attach_failing_loop between 4M 8M
dd if=/dev/zero of="$LOOP" bs=64K count=1 conv=fsync status=none
mount_clonefs "$URL/disk.raw" "$T/mnt" "no_hydration,dest=$LOOP"
break_device between
read_page 0 direct
wait_for 60 status_is regions_committed 1
read_page 2097152 direct
wait_for 60 status_is mode ro
assert_eq "$(status_field regions_committed)" 1 "regions that are recorded"
umount_clonefs "$T/mnt"
rm -r "$T/state/mnt"

# Nor is it lost where a write was begun because its sync is expected. A hydrated region of zeros has no blocks.
say "the destination fails while a sync is expected"
truncate -s 4M "$T/www/zeros.raw"
attach_failing_loop expected 4M 8M
mount_clonefs "$URL/zeros.raw" "$T/mnt" "no_hydration,dest=$LOOP"
FILE=$T/mnt/zeros.raw
read_page 0 direct
read_page 2097152 direct
wait_for 60 status_is regions_committed 2
for i in 1 2 3 4 5; do
	write_range "$i" 0 4096 "$FILE"
	sync "$FILE"
done
break_device expected
write_range a 2097152 4096 "$FILE"
sleep 1
eio sync "$FILE"
wait_for 60 status_is mode ro
umount_clonefs "$T/mnt"
rm -r "$T/state/mnt"
FILE=$T/mnt/disk.raw

say "the destination becomes shorter"
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration
write_range a 0 65536 "$FILE"
write_range a 2097152 65536 "$FILE"
sync "$FILE"
truncate -s 1M "$T/state/mnt/disk.img"
read_page 0
eio read_page 2097152 direct
wait_for 60 status_is mode fail
assert_eq "$(status_field hydration)" stopped "hydration"
shows_mode fail Fail
wait_for 60 is_eio 0
eio read_page 0
eio read_page 0 direct
eio read_page 3145728
eio write_range d 0 10 "$FILE"
eio sync "$FILE"
umount_clonefs
