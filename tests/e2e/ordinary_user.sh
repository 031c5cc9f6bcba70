#!/usr/bin/env bash
# Without root: fusermount3, state and socket in the user's own folders, SIGTERM, dead mountpoints.
. "$(dirname "$0")/lib.sh"

require_clonefs
[[ $CLONEFS_E2E_ISOLATED = yes ]] || skip "needs a mount namespace of its own"
need_program fusermount3 fuse3
need_program setpriv util-linux
make_image "$T/www/disk.raw" 2M 1
start_range_server

# /dev/fuse may be root's alone here: a node that everybody may open is mounted over it.
mknod "$T/fuse" c 10 229
chmod 0666 "$T/fuse"
mount --bind "$T/fuse" /dev/fuse
USER_ID=65534
chmod 0711 "$T"
mkdir -p "$T/home" "$T/run" "$T/point"
chown -R "$USER_ID:$USER_ID" "$T/home" "$T/run" "$T/point" "$T/logs"
chmod 0700 "$T/run"

as_user() {
	setpriv --reuid "$USER_ID" --regid "$USER_ID" --clear-groups \
		env -u XDG_STATE_HOME HOME="$T/home" XDG_RUNTIME_DIR="$T/run" "$@"
}
use_copied_programs
FILE=$T/point/disk.raw

say "mount, read, write"
as_user "$MOUNT_CLONEFS" -o name=mine,no_hydration "$URL/disk.raw" "$T/point"
at_exit unmount_if_mounted "$T/point"
as_user cmp "$FILE" "$T/www/disk.raw"
assert_eq "$(as_user stat -c '%a %u %g' "$FILE")" "600 $USER_ID $USER_ID" "attributes"
[[ -e $T/home/.local/state/clonefs/mine/clone.json ]] || fail "the state is elsewhere"
assert_eq "$(stat -c %a "$T/home/.local/state/clonefs/mine")" 700 "mode of the state folder"
[[ -S $T/run/clonefs/mine.sock ]] || fail "the socket is elsewhere"
assert_eq "$(stat -c '%a' "$T/run/clonefs/mine.sock")" 600 "mode of the socket"
as_user dd if=/dev/zero of="$FILE" bs=1000 count=1 conv=notrunc,fsync status=none
assert_eq "$(as_user "$CLONECTL" status --json mine | jq -r .modified)" true "modified"

say "umount by fusermount3"
as_user fusermount3 -u "$T/point"
as_user "$CLONECTL" wait --exit --timeout 60s mine

say "SIGTERM unmounts through fusermount3"
as_user "$MOUNT_CLONEFS" -o name=mine,no_hydration "$URL/disk.raw" "$T/point"
pid=$(as_user "$CLONECTL" status --json mine | jq -r .pid)
kill -TERM "$pid"
wait_for 60 process_is_gone "$pid"
! grep -q " $T/point " /proc/mounts || fail "still mounted"

say "a dead mountpoint is mounted over"
as_user "$MOUNT_CLONEFS" -o name=mine,no_hydration "$URL/disk.raw" "$T/point"
pid=$(as_user "$CLONECTL" status --json mine | jq -r .pid)
kill -KILL "$pid"
wait_for 60 process_is_gone "$pid"
as_user "$MOUNT_CLONEFS" -o name=mine,no_hydration "$URL/disk.raw" "$T/point"
assert_eq "$(grep -c " $T/point " /proc/mounts)" 1 "mounts at the mountpoint"
assert_eq "$(as_user head -c 1000 "$FILE" | tr -d '\0' | wc -c)" 0 "what was written"
as_user fusermount3 -u "$T/point"
as_user "$CLONECTL" wait --exit --timeout 60s mine

say "a regular file as mountpoint"
as_user touch "$T/home/file"
as_user "$MOUNT_CLONEFS" -o name=mine,no_hydration "$URL/disk.raw" "$T/home/file"
at_exit unmount_if_mounted "$T/home/file"
assert_eq "$(as_user stat -c %s "$T/home/file")" 2097152 "size"
as_user fusermount3 -u "$T/home/file"
as_user "$CLONECTL" wait --exit --timeout 60s mine
