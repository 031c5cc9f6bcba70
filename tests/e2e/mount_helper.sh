#!/usr/bin/env bash
# The contract with mount(8) and with people at the command line: fake, ignored and unknown options,
# quotes, remount, exit statuses, one sentence; mount -t, fstab, mount -a.
. "$(dirname "$0")/lib.sh"

require_clonefs
[[ $CLONEFS_E2E_ISOLATED = yes ]] || skip "needs a mount namespace of its own"
make_image "$T/www/disk.raw" 1M 1
start_range_server
SOURCE=$URL/disk.raw
STATE=$T/state/mnt

# ends STATUS PART COMMAND...: exit status and a part of what it says.
ends() {
	local expected=$1 part=$2 status=0 text
	shift 2
	text=$("$@" 2>&1) || status=$?
	assert_eq "$status" "$expected" "exit status of: $* ($text)"
	assert_contains "$text" "$part" "what it says: $*"
	[[ $status = 0 ]] || assert_eq "$(wc -l <<<"$text")" 1 "lines of the refusal of: $*"
}

say "wrong usage"
ends 0 "usage: mount.clonefs" "$MOUNT_CLONEFS" -h
ends 0 "usage: mount.clonefs" "$MOUNT_CLONEFS" --help
ends 0 "clonefs " "$MOUNT_CLONEFS" -V
ends 2 "SOURCE" "$MOUNT_CLONEFS"
ends 2 "MOUNTPOINT" "$MOUNT_CLONEFS" "$SOURCE"
ends 2 "'no_such'" "$MOUNT_CLONEFS" -o no_such "$SOURCE" "$T/mnt"
ends 2 "region_size" "$MOUNT_CLONEFS" -o region_size=5K "$SOURCE" "$T/mnt"
ends 2 "timeout" "$MOUNT_CLONEFS" -o timeout=soon "$SOURCE" "$T/mnt"
ends 2 "'-q'" "$MOUNT_CLONEFS" -q "$SOURCE" "$T/mnt"

say "refusals leave nothing behind"
ends 1 "remount" "$MOUNT_CLONEFS" -o remount,ro "$SOURCE" "$T/mnt"
ends 1 "$T/none" "$MOUNT_CLONEFS" -o "state_dir=$STATE" "$SOURCE" "$T/none"
ends 1 "neither a folder nor a regular file" "$MOUNT_CLONEFS" -o "state_dir=$STATE" "$SOURCE" /dev/null
ends 1 "ftp" "$MOUNT_CLONEFS" -o "state_dir=$STATE" ftp://host/disk.raw "$T/mnt"
ends 1 "404" "$MOUNT_CLONEFS" -o "state_dir=$STATE" "$URL/none" "$T/mnt"
ends 1 "none.raw" "$MOUNT_CLONEFS" -o "state_dir=$STATE" "$T/none.raw" "$T/mnt"
[[ ! -e $STATE ]] || fail "a refused mount has left $STATE"
ends 0 "" "$MOUNT_CLONEFS" -f -o "state_dir=$STATE" "$SOURCE" "$T/mnt"
[[ ! -e $STATE ]] || fail "a fake mount has made $STATE"
ends 1 "404" "$MOUNT_CLONEFS" -f -o "state_dir=$STATE" "$URL/none" "$T/mnt"
! grep -q fuse.clonefs /proc/mounts || fail "something is mounted"

say "who is killed while he waits for the source leaves no daemon behind"
server_mark
server_control '{"paused": true}' >/dev/null
"$MOUNT_CLONEFS" -o "state_dir=$STATE" "$SOURCE" "$T/mnt" 2>"$T/logs/killed" &
helper=$!
wait_for 60 server_has_seen 1
child=$(pgrep -P "$helper")
kill -KILL "$helper"
wait_for 60 process_is_gone "$helper"
server_control '{"paused": false}' >/dev/null
wait_for 60 process_is_gone "$child"
! grep -q fuse.clonefs /proc/mounts || fail "something is mounted"

say "a mount with all that mount(8) may add"
at_exit unmount_clone_at_exit "$T/mnt"
"$MOUNT_CLONEFS" "$SOURCE" "$T/mnt" -s -n -v -N 1 -t clonefs -o \
	"state_dir=\"$STATE\",defaults,rw,auto,noauto,user,user=jane,nouser,users,owner,group,nofail,_netdev" \
	-o 'comment=a,x-systemd.automount,X-foo=1,noexec,noatime,no_such=1,no_hydration' \
	2>"$T/logs/mount"
assert_contains "$(cat "$T/logs/mount")" "'no_such'" "the warning about an unknown option with -s"
grep -q "^$SOURCE $T/mnt fuse.clonefs rw,nosuid,nodev,noexec,noatime" /proc/mounts ||
	fail "/proc/mounts: $(grep clonefs /proc/mounts)"
assert_same_file "$T/mnt/disk.raw" "$T/www/disk.raw"
ends 1 "$STATE" "$MOUNT_CLONEFS" -o "state_dir=$STATE" "$SOURCE" "$T/www"
umount_clonefs "$T/mnt" "$STATE"

say "relative paths count from the folder of the caller"
(cd "$T/www" && "$MOUNT_CLONEFS" -o "state_dir=../state/relative,no_hydration" disk.raw ../mnt)
assert_eq "$(status_field source)" "$T/www/disk.raw" "the source"
assert_same_file "$T/mnt/disk.raw" "$T/www/disk.raw"
umount_clonefs "$T/mnt" "$T/state/relative"

say "commas and quotes in paths"
mkdir "$T/a,b"
at_exit unmount_clone_at_exit "$T/mnt"
"$MOUNT_CLONEFS" -o "state_dir=\"$T/a,b/s\",no_hydration" "$SOURCE" "$T/mnt"
[[ -e $T/a,b/s/clone.json ]] || fail "quotes: the state dir is elsewhere"
umount_clonefs "$T/mnt" "$T/a,b/s"
"$MOUNT_CLONEFS" -o "state_dir=$T/a\\,b/t,no_hydration" "$SOURCE" "$T/mnt"
[[ -e $T/a,b/t/clone.json ]] || fail "backslash: the state dir is elsewhere"
umount_clonefs "$T/mnt" "$T/a,b/t"

say "a comma in the source is not an option"
cp "$T/www/disk.raw" "$T/www/a,ro,b.raw"
"$MOUNT_CLONEFS" -o "state_dir=$T/state/comma" "$URL/a,ro,b.raw" "$T/mnt"
grep -q " $T/mnt fuse.clonefs rw," /proc/mounts || fail "mounted ro: $(grep clonefs /proc/mounts)"
[[ -e $T/mnt/a,ro,b.raw ]] || fail "the image has another name: $(ls "$T/mnt")"
umount_clonefs "$T/mnt" "$T/state/comma"

say "secrets are nowhere to be seen"
"$MOUNT_CLONEFS" -o "state_dir=$T/state/secret,no_hydration" \
	"http://user:geheim@${URL#http://}/disk.raw?token=geheim" "$T/mnt"
pid=$(status_field pid)
for place in "/proc/$pid/cmdline" /proc/mounts "$T/state/secret/clone.json"; do
	! grep -q geheim "$place" || fail "a secret is in $place"
done
umount_clonefs "$T/mnt" "$T/state/secret"

say "through mount(8)"
# mount(8) looks for helpers in /sbin only.
mkdir "$T/sbin" "$T/sbin-work"
mount -t overlay -o "lowerdir=/sbin,upperdir=$T/sbin,workdir=$T/sbin-work" overlay /sbin 2>/dev/null ||
	skip "the rest: cannot put mount.clonefs into /sbin"
ln -s "$MOUNT_CLONEFS" /sbin/mount.clonefs
mount -t clonefs -o "ro,state_dir=$STATE,nofail,_netdev,x-foo" "$SOURCE" "$T/mnt"
grep -q "^$SOURCE $T/mnt fuse.clonefs ro," /proc/mounts || fail "not mounted ro"
assert_same_file "$T/mnt/disk.raw" "$T/www/disk.raw"
status=0
text=$(mount -t clonefs -o remount,rw "$SOURCE" "$T/mnt" 2>&1) || status=$?
[[ $status != 0 ]] || fail "a remount was not refused"
assert_contains "$text" "remount" "the refusal of a remount"
umount_clonefs "$T/mnt" "$STATE"

say "fstab"
cat >"$T/fstab" <<-END
	$SOURCE $T/mnt clonefs state_dir=$STATE,nofail,_netdev,x-systemd.requires=network-online.target 0 0
END
mount -T "$T/fstab" -a
assert_same_file "$T/mnt/disk.raw" "$T/www/disk.raw"
mount -T "$T/fstab" -a || fail "mount -a a second time"
assert_eq "$(grep -c " $T/mnt fuse.clonefs " /proc/mounts)" 1 "mounts after two mount -a"
umount_clonefs "$T/mnt" "$STATE"
mount -T "$T/fstab" -f -a
! grep -q fuse.clonefs /proc/mounts || fail "mount -f has mounted something"
