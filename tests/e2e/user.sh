#!/usr/bin/env bash
# The whole life of a clone without root: mount, read, write, discard, status, set, pause, wait, kill -9, umount by
# fusermount3, in the user's own folders; and what is refused.
. "$(dirname "$0")/lib.sh"

require_clonefs
[[ $CLONEFS_E2E_ISOLATED = yes ]] || skip "needs a mount namespace of its own"
need_program fusermount3 fuse3
need_program setpriv util-linux
make_image "$T/www/disk.raw" 16M 1
# Long enough not to be read ahead to its end.
truncate -s 128M "$T/www/disk.raw"
touch -d '2020-09-13 12:26:40 UTC' "$T/www/disk.raw"
cp "$T/www/disk.raw" "$T/expected"
start_range_server

# /dev/fuse may be root's alone here: a node that everybody may open is mounted over it.
mknod "$T/fuse" c 10 229
chmod 0666 "$T/fuse"
mount --bind "$T/fuse" /dev/fuse
# fusermount3 wants a name: two that every Debian has.
USER_ID=$(id -u nobody)
OTHER_ID=$(id -u games)
chmod 0711 "$T"
mkdir -p "$T/home" "$T/run" "$T/other"
chown "$USER_ID:$USER_ID" "$T/home" "$T/run"
chown "$OTHER_ID:$OTHER_ID" "$T/other"
chmod 0755 "$T/home"
chmod 0700 "$T/run" "$T/other"
chmod 1777 "$T/logs"
chmod 0644 "$T/www/disk.raw" "$T/expected"
chmod 0755 "$T/www"

as_id() {
	local id=$1
	shift
	setpriv --reuid "$id" --regid "$id" --clear-groups env -u XDG_STATE_HOME -u XDG_RUNTIME_DIR "$@"
}
as_user() { as_id "$USER_ID" HOME="$T/home" XDG_RUNTIME_DIR="$T/run" "$@"; }
as_other() { as_id "$OTHER_ID" HOME="$T/other" "$@"; }
use_copied_programs
POINT=$T/home/point
FILE=$POINT/disk.raw
as_user mkdir "$POINT"
# user_status FIELD
user_status() { as_user "$CLONECTL" status --json mine | jq -r --arg field "$1" '.[$field]'; }
# refused COMMAND...: fails; sets TEXT, what it said.
refused() {
	! TEXT=$("$@" 2>&1) || fail "was not refused: $*"
}

say "mount, read, write, discard"
as_user "$MOUNT_CLONEFS" -o name=mine,no_hydration "$URL/disk.raw" "$POINT"
at_exit unmount_if_mounted "$POINT"
as_user dd if="$T/www/disk.raw" of="$FILE" bs=100000 count=3 skip=7 seek=50 conv=notrunc,fsync status=none
dd if="$T/www/disk.raw" of="$T/expected" bs=100000 count=3 skip=7 seek=50 conv=notrunc status=none
as_user fallocate --punch-hole --offset 1M --length 2M "$FILE"
put_zeros "$T/expected" $((1 << 20)) $((2 << 20))
as_user cmp -n 5500000 "$FILE" "$T/expected"
assert_eq "$(as_user stat -c '%a %u %g' "$FILE")" "600 $USER_ID $USER_ID" "attributes"

say "state and socket are the user's own"
STATE=$T/home/.local/state/clonefs/mine
assert_eq "$(as_user find "$STATE" "$T/run/clonefs" ! -user "$USER_ID")" "" "files of others"
assert_eq "$(stat -c %a "$STATE" "$T/run/clonefs" "$STATE/disk.img" "$STATE/metadata" "$T/run/clonefs/mine.sock" |
	tr '\n' ' ')" "700 700 600 600 600 " "modes"
assert_eq "$(user_status state_dir)" "$STATE" "state_dir"
[[ -z $(find /run/clonefs -mindepth 1) ]] || fail "something is in /run/clonefs"

say "status, list, set, pause, resume, flush, dmsetup, wait, check, dump"
assert_eq "$(as_user "$CLONECTL" list --json | jq -r '.[].name')" mine "list"
assert_eq "$(as_user "$CLONECTL" status --json "$FILE" | jq -r .name)" mine "status of a path"
as_user "$CLONECTL" set mine timeout=5s >"$T/logs/set"
assert_eq "$(user_status settings | jq -r .timeout)" 5s "timeout"
as_user "$CLONECTL" set mine background_rate=256K >"$T/logs/set"
as_user "$CLONECTL" resume mine
as_user "$CLONECTL" pause mine
assert_eq "$(user_status hydration)" paused "hydration"
as_user "$CLONECTL" flush mine
assert_contains "$(as_user "$CLONECTL" dmsetup mine)" " clone 8 " "dmsetup"
as_user "$CLONECTL" dump --json "$STATE/metadata" >"$T/logs/dump"

say "others get nothing"
refused as_other cat "$FILE"
refused as_other "$CLONECTL" status "$T/run/clonefs/mine.sock"
refused as_other ls "$STATE"
assert_eq "$(as_other "$CLONECTL" list --json | jq length)" 0 "clones that another user sees"
# Root is a user without allow_other, too, but may ask.
refused cat "$FILE"
assert_eq "$("$CLONECTL" status --json "$T/run/clonefs/mine.sock" | jq -r .name)" mine "status for root"

say "killed, mounted again over the dead mountpoint, hydrated"
pid=$(user_status pid)
kill -KILL "$pid"
wait_for 60 process_is_gone "$pid"
as_user "$MOUNT_CLONEFS" -o name=mine "$URL/disk.raw" "$POINT"
assert_eq "$(grep -c " $POINT " /proc/mounts)" 1 "mounts at the mountpoint"
as_user "$CLONECTL" wait --timeout 120s mine
as_user cmp "$FILE" "$T/expected"
as_user fusermount3 -u "$POINT"
as_user "$CLONECTL" wait --exit --timeout 60s mine
as_user "$CLONECTL" check "$STATE/metadata" >"$T/logs/check"
as_user cmp "$STATE/disk.img" "$T/expected"

say "without XDG_RUNTIME_DIR the socket is in the state folder; XDG_STATE_HOME is obeyed"
as_id "$USER_ID" HOME="$T/home" XDG_STATE_HOME="$T/home/elsewhere" \
	"$MOUNT_CLONEFS" -o name=second,no_hydration "$URL/disk.raw" "$POINT"
[[ -S $T/home/elsewhere/clonefs/second/second.sock ]] || fail "no socket: $(find "$T/home/elsewhere")"
as_user cmp -n 100000 "$FILE" "$T/www/disk.raw"
as_user fusermount3 -u "$POINT"
as_user "$CLONECTL" wait --exit --timeout 60s "$T/home/elsewhere/clonefs/second"

say "a file as source, dest= and metadata= of the user's own"
as_user "$MOUNT_CLONEFS" -o "name=third,dest=$T/home/dest,metadata=$T/home/metadata" "$T/www/disk.raw" "$POINT"
as_user "$CLONECTL" wait --timeout 120s third
as_user cmp "$FILE" "$T/www/disk.raw"
as_user fusermount3 -u "$POINT"
as_user "$CLONECTL" wait --exit --timeout 60s third
as_user cmp "$T/home/dest" "$T/www/disk.raw"

say "refusals: one sentence, with the words of fusermount3"
# user_refused PART OPTIONS MOUNTPOINT [SOURCE]
user_refused() {
	refused as_user "$MOUNT_CLONEFS" -o "name=refused,$2" "${4:-$URL/disk.raw}" "$3"
	assert_contains "$TEXT" "$1" "the sentence"
	assert_eq "$(wc -l <<<"$TEXT")" 1 "lines of '$TEXT'"
	[[ ! -e $T/home/.local/state/clonefs/refused ]] || fail "state of a refused mount"
	[[ ! -e $T/run/clonefs/refused.sock ]] || fail "socket of a refused mount"
}
mkdir -m 0755 "$T/roots"
user_refused "user has no write access to mountpoint $T/roots" no_hydration "$T/roots"
user_refused "allow_other" allow_other "$POINT"
user_refused "Permission denied" "state_dir=$T/roots/state" "$POINT"
mount --bind /dev/null "$(realpath "$(command -v fusermount3)")"
user_refused "ordinary users need the program fusermount3" no_hydration "$POINT"
umount "$(realpath "$(command -v fusermount3)")"
