# shellcheck shell=bash
# Images, byte ranges, loop devices.

# make_image FILE SIZE [SEED]: reproducible random bytes; SIZE may end in K, M or G. Its mtime is
# old enough for Last-Modified to be a strong validator.
make_image() {
	local size
	size=$(numfmt --from=iec "$2")
	head -c "$size" /dev/zero |
		openssl enc -aes-128-ctr -nosalt -K "$(printf '%032x' "${3:-1}")" -iv 0 >"$1" 2>/dev/null
	[[ $(stat -c %s "$1") = "$size" ]] || fail "the image has the wrong size"
	touch -d '2020-09-13 12:26:40 UTC' "$1"
}

# sha256_of FILE
sha256_of() {
	sha256sum "$1" | cut -d ' ' -f 1
}

# sha256_range FILE OFFSET LENGTH
sha256_range() {
	dd if="$1" iflag=skip_bytes,count_bytes,fullblock skip="$2" count="$3" bs=1M status=none |
		sha256sum | cut -d ' ' -f 1
}

# assert_same_range FILE FILE OFFSET LENGTH
assert_same_range() {
	cmp -i "$3" -n "$4" "$1" "$2" >&2 || fail "$1 and $2 differ in $4 bytes from $3"
}

# assert_same_file FILE FILE
assert_same_file() {
	cmp "$1" "$2" >&2 || fail "$1 and $2 differ"
}

# drop_cached FILE: its clean pages leave the page cache.
drop_cached() {
	dd if="$1" iflag=nocache count=0 status=none
}

# attach_loop FILE [losetup options]: sets LOOP.
attach_loop() {
	local file=$1
	shift
	LOOP=$(losetup -f --show "$@" "$file")
	at_exit detach_loop "$LOOP" "$file"
}

# detach_loop DEVICE [FILE]: a device that has another file by now is left alone.
detach_loop() {
	local backing
	backing=$(losetup -n -O BACK-FILE "$1" 2>/dev/null) || return 0
	[[ -z ${2:-} || $backing = "$2"* ]] || return 0
	losetup -d "$1"
}

# mount_device DEVICE FOLDER [mount options]
mount_device() {
	local device=$1 folder=$2
	shift 2
	mkdir -p "$folder"
	mount "$@" "$device" "$folder"
	at_exit unmount_if_mounted "$folder"
}

unmount_if_mounted() {
	mountpoint -q "$1" 2>/dev/null || return 0
	umount "$1" || umount -l "$1"
}
