#!/usr/bin/env bash
# The last commit hangs because the disk of the metadata, or of the destination, does not answer: a second
# signal gives it ten seconds more, a third none, and the daemon is gone; the next mount has the last commit.
. "$(dirname "$0")/lib.sh"

require_clonefs
# The daemon ends beside threads that hang.
export TSAN_OPTIONS=${TSAN_OPTIONS:+$TSAN_OPTIONS:}report_thread_leaks=0
make_image "$T/www/disk.raw" 4M 1
truncate -s 16M "$T/disk"
start_range_server

# The disk that hangs is a file of another clone whose daemon is stopped: what is not answered can be killed.
mount_clonefs "$T/disk" "$T/disks" no_hydration
DISK=$(image_of "$T/disks" disk)
DISK_PID=$(status_field pid "$T/disks")
wake_disk() { kill -CONT "$DISK_PID"; }
at_exit wake_disk

signal_taken() { [[ $(awk '/^ShdPnd:/ { print substr($2, 13, 1) }' "/proc/$PID/status") != [4567cdef] ]]; }
# ask: SIGTERM, once it has been looked at.
ask() {
	kill -TERM "$PID"
	wait_for 60 signal_taken
}
not_mounted() { ! grep -q " $T/mnt fuse.clonefs " /proc/mounts; }
is_ending() { grep -q stopping "$T/logs/daemon" && not_mounted; }

# hangs OPTION: mounted with OPTION on the disk; something is to be committed, and cannot be. Sets PID.
hangs() {
	# In the foreground, so that its exit status can be had.
	"$MOUNT_CLONEFS" -F -o "name=$(clone_name "$T/mnt"),state_dir=$(state_dir_of),no_hydration,$1" \
		"$URL/disk.raw" "$T/mnt" 2>"$T/logs/daemon" &
	PID=$!
	at_exit kill -KILL "$PID"
	wait_for 60 mountpoint -q "$T/mnt"
	wait_for 60 status_is pid "$PID"
	printf kept | dd of="$(image_of)" bs=1 seek=1048576 conv=notrunc,fsync status=none
	kill -STOP "$DISK_PID"
	# A region to commit; with the destination there is always something: its sync.
	[[ $1 = dest=* ]] || reads_at 2457600 || fail "a reader waits for metadata that hang"
	kill -TERM "$PID"
	wait_for 60 is_ending
}
# gave_up COUNT: by itself, saying so.
gave_up() {
	local status=0
	wait_for 120 process_is_gone "$PID"
	took=$(($(date +%s%3N) - began))
	# The kernel lets a thread go only now whose request the disk had taken before it was stopped.
	wake_disk
	wait "$PID" || status=$?
	assert_eq "$status" 1 "exit status"
	assert_contains "$(cat "$T/logs/daemon")" "the end hangs and was asked for $1 times" "what it said"
	"$CLONECTL" wait --exit --timeout 60s "$(state_dir_of)"
}
# what_was_committed_is_there OPTION
what_was_committed_is_there() {
	mount_clonefs "$URL/disk.raw" "$T/mnt" "no_hydration,$1"
	assert_eq "$(dd if="$(image_of)" bs=1 skip=1048576 count=4 status=none)" kept "what was committed"
	assert_eq "$(status_field mode)" rw "mode"
	reads_at 2457600 || fail "what was not committed cannot be read"
	umount_clonefs
	"$CLONECTL" check "$(metadata_of)" >/dev/null 2>&1 || [[ $1 = metadata=* ]] || fail "the metadata is damaged"
	rm -r "$(state_dir_of)"
}

say "the metadata hangs: a third signal ends it at once"
hangs "metadata=$DISK"
! process_is_gone "$PID" || fail "nothing hangs"
ask
! process_is_gone "$PID" || fail "the second signal has ended it at once"
began=$(date +%s%3N)
kill -TERM "$PID"
gave_up 3
say "gone $took ms after the third signal"
what_was_committed_is_there "metadata=$DISK"

say "the destination hangs: a second signal leaves it ten seconds"
umount_clonefs "$T/disks"
rm -r "$(state_dir_of "$T/disks")"
truncate -s 0 "$T/disk"
truncate -s 4M "$T/disk"
mount_clonefs "$T/disk" "$T/disks" no_hydration
DISK_PID=$(status_field pid "$T/disks")
at_exit wake_disk
hangs "dest=$DISK"
began=$(date +%s%3N)
kill -TERM "$PID"
gave_up 2
say "gone $took ms after the second signal"
((took >= 9000)) || fail "the end had no ten seconds"
what_was_committed_is_there "dest=$DISK"
umount_clonefs "$T/disks"
