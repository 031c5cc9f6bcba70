#!/usr/bin/env bash
# A state dir on a file system that fills up, a tmpfs and a small ext4: reads that miss are answered and not
# kept, writes get ENOSPC, what is hydrated serves without the source, commits go on, the journal does not
# matter; with room again it goes on without a restart. Without room at the beginning there is no clone, and
# nothing is left behind.
. "$(dirname "$0")/lib.sh"

require_clonefs
[[ $CLONEFS_E2E_ISOLATED = yes ]] || skip "needs a mount namespace of its own"
make_image "$T/www/disk.raw" 24M 1
start_range_server
FILE=$T/mnt/disk.raw

# use_tmpfs FOLDER, use_ext4 FOLDER: mounts a file system with room for 16 MiB there, or less.
use_tmpfs() {
	mkdir -p "$1"
	mount -t tmpfs -o size=16M small "$1"
	at_exit unmount_if_mounted "$1"
}

use_ext4() {
	truncate -s 64M "$T/small.ext4"
	mkfs.ext4 -q -F -m 0 "$T/small.ext4" >>"$T/logs/mkfs" 2>&1
	mount_device "$T/small.ext4" "$1" -o loop
	fallocate -l 40M "$1/ballast"
}

# fill FILE: until nothing more fits, also when the file system has settled what it reserved.
fill() {
	local size
	for size in 64K 4096 4096 4096; do
		dd if=/dev/zero of="$1" bs="$size" oflag=append conv=notrunc status=none 2>>"$T/logs/fill" || true
		sync -f "$1"
	done
}

# put OFFSET LENGTH FILE
put() {
	head -c "$2" /dev/zero | tr '\0' x |
		dd of="$3" bs=64K iflag=fullblock oflag=seek_bytes seek="$1" conv=notrunc status=none
}

# run_out_of_room METADATA OFFSET LENGTH EXPECTED: writes there in missing regions, in the file EXPECTED too, until
# one gets ENOSPC: MISSING. A file system may find a few blocks more after it was full.
run_out_of_room() {
	local text at
	for MISSING in $(missing_regions "$1" 60); do
		at=$((MISSING * 65536 + $2))
		if ! text=$(put "$at" "$3" "$FILE" 2>&1); then
			assert_contains "$text" "No space left on device" "what a writer hears"
			return
		fi
		put "$at" "$3" "$4"
	done
	fail "there was room for all writes"
}

begin_without_room() {
	local small=$1
	fill "$small/fill"
	mount_refused 1 "No space left on device" "$URL/disk.raw" "$T/mnt" "state_dir=$small/state,no_hydration"
	mount_refused 1 "No space left on device" "$URL/disk.raw" "$T/mnt" \
		"state_dir=$T/state/refused,metadata=$small/metadata,no_hydration"
	[[ ! -e $small/metadata && ! -e $T/state/refused/clone.json && ! -e $small/state/clone.json ]] ||
		fail "something was left behind: $(ls -R "$small" "$T/state")"
	truncate -s 1M "$small/sparse"
	mount_refused 1 "No space left on device" "$URL/disk.raw" "$T/mnt" \
		"state_dir=$T/state/refused,metadata=$small/sparse,no_hydration"
	rm "$small/fill" "$small/sparse"
	rm -rf "$T/state/refused"
}

# FIRST is a region that is there.
get_full() {
	local small=$1
	wait_for 120 status_is hydration waiting
	assert_contains "$(status_field reason)" "No space left on device" "the reason"
	assert_eq "$(status_field mode)" rw "mode"
	(($(status_field regions_hydrated) > 20)) || fail "too little was kept"
	"$CLONECTL" flush "$T/mnt"
	committed_ranges "$small/state/metadata" >"$T/ranges"
	FIRST=$(awk 'NR == 1 { print $1 }' "$T/ranges")
	fill "$small/fill"
}

work_while_full() {
	local metadata=$1 expected=$2
	assert_same_file "$FILE" "$expected"
	run_out_of_room "$metadata" 0 65536 "$expected"
	run_out_of_room "$metadata" 100 10 "$expected"
	put $((FIRST * 65536 + 7)) 100 "$FILE"
	put $((FIRST * 65536 + 7)) 100 "$expected"
	sync "$FILE"
	"$CLONECTL" set "$T/mnt" background_rate=900M >/dev/null
	assert_same_file "$FILE" "$expected"
	server_fault status '"status":503'
	drop_cached "$FILE"
	dd if="$FILE" of=/dev/null bs=64K iflag=direct skip="$FIRST" count=1 status=none
	assert_same_range "$FILE" "$expected" $((FIRST * 65536)) 65536
	server_fault ''
	"$CLONECTL" resume "$T/mnt"
}

# kill -9 with a full disk, and a start on it.
die_while_full() {
	local expected=$1 options=$2
	kill_daemon "$T/mnt"
	mount_clonefs "$URL/disk.raw" "$T/mnt" "$options"
	wait_for 60 status_is hydration waiting
	assert_same_file "$FILE" "$expected"
}

# try_on KIND
try_on() {
	local small=$T/$1 expected=$T/expected options
	say "$1"
	options=state_dir=$small/state
	cp "$T/www/disk.raw" "$expected"
	"use_$1" "$small"
	begin_without_room "$small"
	mount_clonefs "$URL/disk.raw" "$T/mnt" "$options"
	get_full "$small"
	work_while_full "$small/state/metadata" "$expected"
	die_while_full "$expected" "$options"
	rm "$small/fill"
	make_room "$1" "$small"
	wait_for 120 status_is hydration "done"
	wait_hydrated
	assert_eq "$(status_field mode)" rw "mode"
	put $((MISSING * 65536)) 65536 "$FILE"
	put $((MISSING * 65536)) 65536 "$expected"
	sync "$FILE"
	wait_for 60 has_row "$small/state" '^no_space\|0\|ended\|'
	umount_clonefs "$T/mnt" "$small/state"
	assert_same_file "$small/state/disk.img" "$expected"
	"$CLONECTL" check "$small/state/metadata" >/dev/null
	python3 "$TOP_DIR/tests/kernel/cmcheck.py" "$small/state/metadata" >"$T/logs/cmcheck"
	[[ ! -s $small/state/journal.db-wal ]] || fail "the write-ahead log was left behind"
}

# make_room KIND FOLDER
make_room() {
	if [[ $1 = tmpfs ]]; then
		mount -o remount,size=64M "$2"
	else
		rm "$2/ballast"
	fi
}

try_on tmpfs
try_on ext4
