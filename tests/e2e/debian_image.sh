#!/usr/bin/env bash
# An ext4 image with a Debian tree behind nginx: the mount returns at once, reading a little pulls
# little, and while it hydrates it is loop-mounted and every file in it has the right checksum.
. "$(dirname "$0")/lib.sh"

require_clonefs
need_program mmdebstrap mmdebstrap
need_program mke2fs e2fsprogs
IMAGE_SIZE=2147483648

# Made once, and kept.
fetch_tree() {
	local archive=$CLONEFS_CACHE/bookworm-minbase.tar
	mkdir -p "$CLONEFS_CACHE"
	exec 8>"$CLONEFS_CACHE/lock"
	flock 8
	if [[ ! -f $archive ]]; then
		mmdebstrap --quiet --variant=minbase bookworm "$archive.new.tar" >"$T/logs/mmdebstrap" 2>&1 ||
			skip "mmdebstrap cannot fetch a Debian tree"
		mv "$archive.new.tar" "$archive"
	fi
	exec 8>&-
	mkdir "$T/tree"
	tar -x -C "$T/tree" -f "$archive" --exclude='./dev/*'
}

make_debian_image() {
	(cd "$T/tree" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$T/checksums"
	truncate -s "$IMAGE_SIZE" "$T/www/disk.raw"
	mke2fs -q -t ext4 -E lazy_itable_init=0,lazy_journal_init=0 -d "$T/tree" "$T/www/disk.raw"
	touch -d '2020-09-13 12:26:40 UTC' "$T/www/disk.raw"
	rm -rf --one-file-system "$T/tree"
}

fetch_tree
make_debian_image
say "$(wc -l <"$T/checksums") files"
start_nginx

say "the first MiB without hydration"
mount_clonefs "$NGINX_URL/disk.raw" "$T/lazy" no_hydration
assert_same_range "$(image_of "$T/lazy")" "$T/www/disk.raw" 0 1048576
umount_clonefs "$T/lazy"
stop_nginx # writes its log
(($(nginx_bytes) < IMAGE_SIZE / 20)) || fail "$(nginx_bytes) bytes were fetched to read the first MiB"
say "$(nginx_bytes) bytes were fetched to read 1048576"

start_nginx
before=$(date +%s%3N)
mount_clonefs "$NGINX_URL/disk.raw"
after=$(date +%s%3N)
say "the mount returned after $((after - before)) ms"
((after - before < 10000)) || fail "the mount took $((after - before)) ms"

say "loop mount while it hydrates"
attach_loop "$(image_of)" -r
mount_device "$LOOP" "$T/tree" -o ro
(cd "$T/tree" && sha256sum --quiet -c "$T/checksums") >"$T/wrong" ||
	fail "wrong checksums: $(head "$T/wrong")"
say "checksums are right; $(status_field regions_committed) of $(status_field regions_total) regions were committed"
umount "$T/tree"
detach_loop "$LOOP"

say "to the end"
wait_hydrated
umount_clonefs
assert_same_file "$(state_dir_of)/disk.img" "$T/www/disk.raw"
