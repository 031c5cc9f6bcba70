#!/usr/bin/env bash
# cp --sparse, dd and qemu-img convert of an image that is a tenth hydrated and paused give the source.
. "$(dirname "$0")/lib.sh"

require_clonefs
SIZE=$((24 << 20))
make_image "$T/www/disk.raw" 24M 1
put_zeros "$T/www/disk.raw" $((3 << 20)) $((5 << 20))
put_zeros "$T/www/disk.raw" $(((12 << 20) + 12345)) $((3 << 20))
put_zeros "$T/www/disk.raw" $((23 << 20)) $((1 << 20))
touch -d '2020-09-13 12:26:40 UTC' "$T/www/disk.raw"
start_range_server --ttfb-ms 5

# copied NAME COMMAND...: the command copies $T/mnt-NAME/disk.raw to $T/copy.
copied() {
	local name=$1 file=$T/mnt-$1/disk.raw hydrated
	shift
	mount_clonefs "$URL/disk.raw" "$T/mnt-$name" no_hydration
	# One region in ten, here and there, without read-ahead.
	python3 - "$file" $SIZE <<-'END'
		import mmap, os, random, sys
		fd = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT)
		regions = int(sys.argv[2]) // 65536
		buffer = mmap.mmap(-1, 4096)
		for region in random.Random(4).sample(range(regions), regions // 10):
		    os.preadv(fd, [buffer], region * 65536)
	END
	wait_for 60 status_at_least regions_hydrated 38 "$T/mnt-$name"
	hydrated=$(status_field regions_hydrated "$T/mnt-$name")
	assert_eq "$(status_field hydration "$T/mnt-$name")" paused "hydration"
	((hydrated <= 190)) || fail "$hydrated of 384 regions are hydrated before the copy"
	server_mark
	"$@"
	assert_same_file "$T/copy" "$T/www/disk.raw"
	wait_for 60 server_is_idle
	say "$name: $hydrated of 384 regions before, $(status_field regions_hydrated "$T/mnt-$name") behind," \
		"$(server_count) requests, $(($(server_bytes) >> 20)) MiB"
	(($(server_bytes) <= SIZE * 3 / 2)) || fail "far more was fetched than there is"
	umount_clonefs "$T/mnt-$name"
	rm "$T/copy"
}
sparse() {
	(($(allocated_bytes "$T/copy") <= SIZE - (7 << 20))) || fail "the copy is not sparse"
}
copy_sparse() {
	cp --sparse=always "$T/mnt-always/disk.raw" "$T/copy"
	sparse
}
convert() {
	qemu-img convert -f raw -O raw "$T/mnt-convert/disk.raw" "$T/copy"
	sparse
}
convert_qcow2() {
	qemu-img convert -f raw -O qcow2 "$T/mnt-qcow2/disk.raw" "$T/copy.qcow2"
	qemu-img convert -f qcow2 -O raw "$T/copy.qcow2" "$T/copy"
}

copied always copy_sparse
copied auto cp --sparse=auto "$T/mnt-auto/disk.raw" "$T/copy"
copied dd dd if="$T/mnt-dd/disk.raw" of="$T/copy" bs=300001 conv=sparse status=none
if command -v qemu-img >/dev/null; then
	copied convert convert
	copied qcow2 convert_qcow2
else
	say "SKIPPED: qemu-img convert (Debian package qemu-utils)"
fi
