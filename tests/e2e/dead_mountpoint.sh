#!/usr/bin/env bash
# kill -9: what was fsynced is there, the dead mountpoint is mounted over, the stale socket replaced;
# somebody else's dead mount is left alone.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/disk.raw" 4M 1
cp "$T/www/disk.raw" "$T/expected"
start_range_server

mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration
# put TEXT OFFSET: into the image, until it is durable, and into the model.
put() {
	local file
	for file in "$T/mnt/disk.raw" "$T/expected"; do
		printf '%s' "$1" | dd of="$file" conv=notrunc,fsync bs=4M oflag=seek_bytes seek="$2" status=none
	done
}
put first 100000
kill_daemon
! ls "$T/mnt/" 2>/dev/null || fail "the mountpoint of a killed daemon still answers"

# A fake mount says that it could be done, and leaves all as it is.
# traces: what a mount could change. Who held the lock last is no trace.
traces() {
	grep " $T/mnt .* fuse.clonefs " /proc/self/mountinfo
	find "$T/state" ! -name lock -printf '%p %s %m %T@ %C@\n' | sort
}
before=$(traces)
"$MOUNT_CLONEFS" -f -o "state_dir=$(state_dir_of),name=$(clone_name "$T/mnt")" "$URL/disk.raw" "$T/mnt"
assert_eq "$(traces)" "$before" "mounts and state after a fake mount"

# At once: the kernel may still have attributes of the dead mount in its cache.
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration
assert_eq "$(grep -c " $T/mnt fuse.clonefs " /proc/mounts)" 1 "mounts at the mountpoint"
assert_same_file "$T/mnt/disk.raw" "$T/expected"
put second 3000000

# An open file of the dead mount does not keep it in the way.
exec 7<"$T/mnt/disk.raw"
kill_daemon
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration
exec 7<&-
assert_same_file "$T/mnt/disk.raw" "$T/expected"

# One that dies while it is asked whether it lives.
PID=$(status_field pid)
# The kernel's number for it, in a folder that tells how many requests wait.
CONNECTION=$(awk -v at="$T/mnt" '$5 == at { split($3, device, ":"); print device[2] }' /proc/self/mountinfo)
mkdir "$T/fusectl"
mount -t fusectl fusectl "$T/fusectl"
at_exit umount "$T/fusectl"
asks() { [[ $(<"$T/fusectl/$CONNECTION/waiting") != 0 ]]; }
asks_nothing() { ! asks; }
# A release comes a moment after its close().
wait_for 60 asks_nothing
end_stopped() { kill -KILL "$PID" 2>/dev/null || true; }
at_exit end_stopped
kill -STOP "$PID"
"$MOUNT_CLONEFS" -o "no_hydration,state_dir=$(state_dir_of),name=$(clone_name "$T/mnt")" "$URL/disk.raw" "$T/mnt" &
MOUNTER=$!
wait_for 60 asks
kill -KILL "$PID"
wait "$MOUNTER" || fail "a daemon that died while it was asked is in the way"
assert_same_file "$T/mnt/disk.raw" "$T/expected"
umount_clonefs
! mountpoint -q "$T/mnt" || fail "something is left mounted"

# What was hydrated is not fetched again.
server_mark
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration
assert_same_file "$T/mnt/disk.raw" "$T/expected"
umount_clonefs
assert_same_file "$T/state/mnt/disk.img" "$T/expected"
