#!/usr/bin/env bash
# Opens of a complete image are passed through to the destination where libfuse and the kernel can: they
# read without the daemon, mix with all others without an error, and nothing is written behind its back.
. "$(dirname "$0")/lib.sh"

require_clonefs
require_root

# With these it has to work.
pkg-config --exists 'fuse3 >= 3.17' || skip "libfuse $(pkg-config --modversion fuse3): passthrough needs 3.17"
[[ $(printf '6.9\n%s\n' "$(uname -r)" | sort -V | head -n 1) = 6.9 ]] ||
	skip "Linux $(uname -r): passthrough needs 6.9"
! zgrep -q '# CONFIG_FUSE_PASSTHROUGH is not set' /proc/config.gz 2>/dev/null ||
	skip "this kernel is built without passthrough"

SIZE=$(((8 << 20) + 300))
make_image "$T/www/disk.raw" 9M 1
truncate -s $SIZE "$T/www/disk.raw"
cp "$T/www/disk.raw" "$T/expected"
start_range_server
# The destination must be on no stacked file system, as the root of a container is one.
truncate -s 64M "$T/ext4.img"
format ext4 "$T/ext4.img"
mount_device "$T/ext4.img" "$T/place" -o loop
DESTINATION=$T/place/state/disk.img

go_on_if_stopped() {
	kill -CONT "$1" 2>/dev/null || true
}

mount_there() {
	mount_clonefs "$URL/disk.raw" "$T/mnt" "state_dir=$T/place/state,${1:-}"
	PID=$(status_field pid)
	at_exit go_on_if_stopped "$PID"
}

# opens STEP
opens() {
	python3 "$E2E_DIR/passthrough.py" "$1" "$T/mnt/disk.raw" "$PID" "$T/expected" "$DESTINATION"
}

# waiting STEP: runs it until it has the image open; sets its process and where it takes its line.
waiting() {
	coproc STEP { opens "$1"; }
	STEP_PROCESS=$STEP_PID
	STEP_INPUT=${STEP[1]}
	read -r <&"${STEP[0]}"
}

go_on() {
	echo >&"$STEP_INPUT"
	wait "$STEP_PROCESS"
}

say "open since before it was complete"
mount_there no_hydration
waiting early
"$CLONECTL" resume "$T/mnt"
wait_hydrated
go_on

say "open for reading"
opens read_only
assert_eq "$(status_field modified)" false "modified"

say "a writer beside readers"
opens writer_beside
assert_eq "$(status_field modified)" true "modified"

say "a writer before readers"
opens writer_first

say "all kinds at once"
opens storm

say "loop devices"
for direct in on off; do
	attach_loop "$T/mnt/disk.raw" --read-only --direct-io=$direct
	assert_same_range "$LOOP" "$T/expected" 0 $((SIZE / 512 * 512))
	detach_loop "$LOOP"
done

say "the daemon dies, and the next one has the clone to itself"
waiting survives
kill_daemon
mount_there
go_on
assert_same_file "$T/mnt/disk.raw" "$T/expected"
umount_clonefs "$T/mnt" "$T/place/state"
assert_same_file "$DESTINATION" "$T/expected"
