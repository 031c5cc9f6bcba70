# shellcheck shell=bash
# The life of a file system on a loop device on a clone that hydrates meanwhile.

# loop_filesystem TYPE SIZE: used read-write while it hydrates, clean, and the destination is it afterwards.
loop_filesystem() {
	local type=$1 size=$2 file=$T/mnt/disk.raw top=$T/top
	kernel_has_filesystem "$type" || skip "this kernel has no $type"
	make_tree "$T/old" 200 1
	make_tree "$T/new" 400 2
	make_filesystem_image "$T/www/disk.raw" "$size" "$type" "$T/old"
	start_range_server --ttfb-ms 2

	say "$type: mounted, read and written while it hydrates"
	# Slow enough to be busy until we are through.
	mount_clonefs "$URL/disk.raw" "$T/mnt" background_rate=4M
	attach_loop "$file" --direct-io=on
	mount_device "$LOOP" "$top"
	same_tree "$T/old" "$top"
	cp -a "$T/new" "$top/"
	cp -a "$top/00" "$top/copy"
	cp -a "$T/old/00" "$T/copy"
	rm -r "$top/01"
	sync -f "$top"
	fstrim "$top"
	say "$type: $(status_field regions_committed) of $(status_field regions_total) regions, $(status_field hydration)"
	same_tree "$T/new" "$top/new"
	umount "$top"
	check_filesystem "$type" "$LOOP"
	detach_loop "$LOOP"

	say "$type: hydrated to the end"
	"$CLONECTL" set "$T/mnt" background_rate=0
	wait_hydrated
	umount_clonefs
	wait_for 60 server_is_idle
	say "$type: $(($(server_bytes) >> 20)) MiB of $size pulled"
	stop_server

	say "$type: the destination is the file system"
	check_filesystem "$type" "$T/state/mnt/disk.img"
	mount_device "$T/state/mnt/disk.img" "$top" -o loop
	same_tree "$T/new" "$top/new"
	same_tree "$T/copy" "$top/copy"
	rm -r "$top/new" "$top/copy" "$T/old/01"
	same_tree "$T/old" "$top"
	umount "$top"
}
