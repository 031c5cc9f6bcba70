#!/usr/bin/env bash
# A source that is a container or compressed gets one warning at mount, since its bytes are exposed and not the disk
# inside; -o raw silences it, and looking costs no request.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/raw" 1M 1

# magic NAME BYTES: a file of 1 MiB that begins so.
magic() {
	cp "$T/raw" "$T/www/$1"
	printf '%b' "$2" | dd of="$T/www/$1" conv=notrunc status=none
}
magic image.qcow2 'QFI\xfb\x00\x00\x00\x03'
magic image.vmdk 'KDMV\x01\x00\x00\x00'
magic image.vhdx 'vhdxfile'
magic image.raw.zst '\x28\xb5\x2f\xfd'
magic image.raw.xz '\xfd7zXZ\x00\x00\x04'
magic image.raw.gz '\x1f\x8b\x08\x00'
# And what real programs make, where they are.
gzip -c "$T/raw" >"$T/www/real.gz"
if command -v qemu-img >/dev/null; then
	for format in qcow2 vmdk vhdx; do
		qemu-img convert -f raw -O $format "$T/raw" "$T/www/real.$format"
	done
else
	say "SKIPPED: images of qemu-img (Debian package qemu-utils)"
fi
! command -v xz >/dev/null || xz -c "$T/raw" >"$T/www/real.xz"
! command -v zstd >/dev/null || zstd -qc "$T/raw" >"$T/www/real.zst"
cp "$T/raw" "$T/www/disk.raw"
magic only-like.raw 'QFI'
for file in "$T"/www/*; do
	# No multiple of 512 is another warning.
	truncate -s %512 "$file"
	touch -d '2020-09-13 12:26:40 UTC' "$file"
done
start_range_server

# said SOURCE OPTIONS: sets SAID, what a fake mount says, which does all but the mount itself.
said() {
	SAID=$("$MOUNT_CLONEFS" -f -o "state_dir=$T/state/fake,$2" "$1" "$T/mnt" 2>&1)
}
cases='qcow2:qcow2 vmdk:VMDK vhdx:VHDX gz:gzip xz:xz zst:zstd'
# says_kind SOURCE KIND: one line about that, or none.
says_kind() {
	said "$1" defaults
	if [[ -n $2 ]]; then
		assert_contains "$SAID" "looks like a $2 file: its bytes are shown, not the disk inside" "warning for $1"
		assert_eq "$(wc -l <<<"$SAID")" 1 "lines of the warning for $1"
	else
		assert_eq "$SAID" "" "what is said about $1"
	fi
	said "$1" raw
	assert_eq "$SAID" "" "what is said about $1 with -o raw"
}
for file in "$T"/www/*; do
	name=${file##*/}
	kind=
	for case in $cases; do
		[[ $name != *."${case%:*}" ]] || kind=${case#*:}
	done
	server_mark
	says_kind "$URL/$name" "$kind"
	assert_eq "$(server_count)" 2 "requests of two mounts of $name"
	says_kind "$file" "$kind"
done

say "the bytes are exposed, and the second mount says nothing"
mount_clonefs "$URL/real.gz" "$T/mnt" no_hydration 2>"$T/logs/said"
assert_contains "$(cat "$T/logs/said")" "looks like a gzip file" "warning of a real mount"
assert_same_file "$T/mnt/real.gz" "$T/www/real.gz"
umount_clonefs
mount_clonefs "$URL/real.gz" "$T/mnt" no_hydration 2>"$T/logs/said"
assert_eq "$(cat "$T/logs/said")" "" "what the second mount says"
umount_clonefs
