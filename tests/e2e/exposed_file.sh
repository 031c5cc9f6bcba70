#!/usr/bin/env bash
# The exposed file as programs see it: attributes, refusals, writes at and behind the end, mmap,
# O_DIRECT without alignment, several opens, locks, statfs, other names, -o ro, uid= gid= mode=.
. "$(dirname "$0")/lib.sh"

require_clonefs
need_program setfattr attr
make_image "$T/www/disk.raw" 3M 1
truncate -s 3146241 "$T/www/disk.raw" # no multiple of 512
touch -d '2020-09-13 12:26:40 UTC' "$T/www/disk.raw"
cp -a "$T/www/disk.raw" "$T/expected"
start_range_server
SIZE=3146241

say "attributes"
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration 2>"$T/logs/mount"
assert_contains "$(cat "$T/logs/mount")" "no multiple of 512" "the warning about the size"
FILE=$T/mnt/disk.raw
assert_eq "$(stat -c '%F %a %u %g %s %h %Y' "$FILE")" \
	"regular file 600 0 0 $SIZE 1 1600000000" "attributes of the file"
assert_eq "$(stat -c '%F %a' "$T/mnt")" "directory 555" "attributes of the folder"
assert_eq "$(find "$T/mnt" -printf '%P %y ')" " d disk.raw f " "entries of the folder"
assert_eq "$(stat -f -c '%b %S' "$T/mnt")" "$(stat -f -c '%b %S' "$T/state")" "statfs"
grep -q "^$URL/disk.raw $T/mnt fuse.clonefs rw,nosuid,nodev" /proc/mounts ||
	fail "/proc/mounts: $(grep clonefs /proc/mounts)"
assert_same_file "$FILE" "$T/expected"
assert_eq "$(stat -c %Y "$FILE")" 1600000000 "mtime after reading"

say "refusals"
refused() {
	local expected=$1 text status=0
	shift
	text=$("$@" 2>&1) || status=$?
	[[ $status != 0 ]] || fail "not refused: $*"
	assert_contains "$text" "$expected" "the refusal of: $*"
}
refused "not permitted" bash -c ": >'$FILE'"
refused "not permitted" truncate -s 0 "$FILE"
refused "not permitted" truncate -s +1 "$FILE"
truncate -s "$SIZE" "$FILE"
refused "not permitted" chmod 644 "$FILE"
refused "not permitted" chown 1 "$FILE"
refused "not permitted" touch -d yesterday "$FILE"
refused "not permitted" chmod 755 "$T/mnt"
refused "not permitted" touch "$T/mnt/new"
refused "not permitted" mkdir "$T/mnt/new"
refused "not permitted" rm -f "$FILE"
refused "Not a directory" rmdir "$FILE"
refused "not permitted" mv "$FILE" "$T/mnt/new"
refused "not permitted" ln "$FILE" "$T/mnt/new"
refused "not permitted" ln -s x "$T/mnt/new"
refused "No such file" cat "$T/mnt/disk.raw.new"
refused "No such file" cat "$T/mnt/disk"
refused "Not a directory" ls "$FILE/x"
refused "not supported" setfattr -n user.a -v b "$FILE"
assert_eq "$(stat -c '%a %u %s' "$FILE")" "600 0 $SIZE" "attributes after the refusals"
assert_same_file "$FILE" "$T/expected"
assert_eq "$(status_field modified)" false "modified before a write"

say "reads, writes, mmap, O_DIRECT, locks"
before=$(date +%s)
python3 "$E2E_DIR/exposed_file.py" "$FILE" "$T/expected" "$(state_dir_of)/disk.img"
assert_same_file "$FILE" "$T/expected"
assert_eq "$(status_field modified)" true "modified after a write"
mtime=$(stat -c %Y "$FILE")
((mtime >= before)) || fail "mtime $mtime was not moved by writes at $before"

say "hydration and writes leave the page cache alone"
"$CLONECTL" resume "$T/mnt" >/dev/null
wait_hydrated
python3 "$E2E_DIR/cached_read.py" "$FILE" "$(status_field pid)"
mtime=$(stat -c %Y "$FILE")

say "what was written survives, with its mtime"
umount_clonefs
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration 2>>"$T/logs/mount"
assert_same_file "$FILE" "$T/expected"
assert_eq "$(stat -c %Y "$FILE")" "$mtime" "mtime after mounting again"
umount_clonefs

say "read-only, with owner and mode"
mount_clonefs "$URL/disk.raw" "$T/mnt" ro,uid=12,gid=34 2>>"$T/logs/mount"
assert_eq "$(stat -c '%a %u %g' "$FILE")" "400 12 34" "attributes with ro, uid=, gid="
refused "Read-only file system" dd if=/dev/zero of="$FILE" bs=1 count=1 conv=notrunc
assert_eq "$(status_field read_only)" true "read_only"
assert_eq "$(status_field mode)" rw "mode"
assert_same_file "$FILE" "$T/expected"
umount_clonefs
mount_clonefs "$URL/disk.raw" "$T/mnt" allow_other,mode=0644 2>>"$T/logs/mount"
chmod 755 "$T" "$T/mnt" 2>/dev/null || true
assert_eq "$(stat -c '%a' "$FILE")" 644 "mode="
setpriv --reuid 65534 --regid 65534 --clear-groups head -c 1 "$FILE" >/dev/null ||
	fail "allow_other and mode=0644 do not let another user read"
refused "denied" setpriv --reuid 65534 --regid 65534 --clear-groups \
	dd if=/dev/zero of="$FILE" bs=1 count=1 conv=notrunc
umount_clonefs
