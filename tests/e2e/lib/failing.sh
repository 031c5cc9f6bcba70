# shellcheck shell=bash
# Devices that fail, what is heard then, and where a clone's mode has to be seen.

# attach_failing_loop NAME SIZE ROOM: a loop device, LOOP, on a sparse file that cannot get more than ROOM;
# from break_device on no block can be written where none has been before: EIO when it is synced.
attach_failing_loop() {
	mkdir "$T/$1"
	mount -t tmpfs -o "size=$3" tmpfs "$T/$1"
	at_exit umount -l "$T/$1"
	truncate -s "$2" "$T/$1/device"
	attach_loop "$T/$1/device"
}

break_device() {
	dd if=/dev/zero of="$T/$1/fill" bs=4096 status=none 2>/dev/null || true
}

repair_device() {
	rm "$T/$1/fill"
}

# write_range CHARACTER OFFSET LENGTH FILE...
write_range() {
	local file
	for file in "${@:4}"; do
		head -c "$3" /dev/zero | tr '\0' "$1" |
			dd of="$file" bs=65536 iflag=fullblock oflag=seek_bytes seek="$2" conv=notrunc status=none
	done
}

# eio COMMAND...: it fails with this error.
eio() {
	local status=0 text
	text=$("$@" 2>&1) || status=$?
	[[ $status != 0 ]] || fail "no error: $*"
	assert_contains "$text" "Input/output error" "what went wrong with: $*"
}

# read_page OFFSET [FLAG]: of $FILE, which the test sets.
read_page() {
	# shellcheck disable=SC2153
	dd if="$FILE" bs=4096 count=1 skip="$1" iflag="skip_bytes${2:+,$2}" of=/dev/null status=none
}

# is_eio OFFSET, for wait_for: the page is an error also for who reads through the page cache.
is_eio() {
	! read_page "$1" 2>/dev/null
}

# journal_rows STATE_DIR
journal_rows() {
	python3 "$E2E_DIR/journal_rows.py" "$1/journal.db"
}

# has_row STATE_DIR REGULAR-EXPRESSION, for wait_for: rows are written a moment after their event.
has_row() {
	journal_rows "$1" | grep -E -- "$2" >/dev/null
}

# shows_mode MODE WORD: status, the journal and dmsetup, whose last word is WORD then.
shows_mode() {
	local line
	assert_eq "$(status_field mode)" "$1" "mode"
	line=$("$CLONECTL" dmsetup "$T/mnt")
	assert_eq "${line##* }" "$2" "the last word of dmsetup"
	line=$("$CLONECTL" dmsetup --noflush "$T/mnt")
	assert_eq "${line##* }" "$2" "the last word of dmsetup --noflush"
	wait_for 60 has_row "$T/state/mnt" "^mode\|[0-9]+\|ended\|$1: "
}
