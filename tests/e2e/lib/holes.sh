# shellcheck shell=bash
# Holes: what a file says about its own, and what it has allocated.

# file_map FILE: lines "data|hole FIRST END".
file_map() {
	python3 "$E2E_DIR/file_map.py" map "$1"
}

# try_fallocate FILE MODE OFFSET LENGTH: prints "ok" or the errno's name.
try_fallocate() {
	python3 "$E2E_DIR/file_map.py" fallocate "$@"
}

# seek_in FILE data|hole OFFSET: prints the offset or the errno's name.
seek_in() {
	python3 "$E2E_DIR/file_map.py" seek "$@"
}

# punch FILE OFFSET LENGTH
punch() {
	fallocate --punch-hole --offset "$2" --length "$3" "$1"
}

# zero_range FILE OFFSET LENGTH
zero_range() {
	fallocate --zero-range --keep-size --offset "$2" --length "$3" "$1"
}

# allocated_bytes FILE
allocated_bytes() {
	echo $((512 * $(stat -c %b "$1")))
}

# put_zeros FILE OFFSET LENGTH: written, in an ordinary file that is what we expect.
put_zeros() {
	dd if=/dev/zero of="$1" bs=64K seek="$2" count="$3" iflag=count_bytes oflag=seek_bytes \
		conv=notrunc status=none
}
