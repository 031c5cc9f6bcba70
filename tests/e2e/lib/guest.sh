# shellcheck shell=bash
# A Debian guest: its disk image, made once, and booting it.

GUEST_PACKAGES=linux-image-cloud-amd64,systemd-sysv,udev
GUEST_CACHE=$CLONEFS_CACHE/guest-1

# make_guest: an ext4 root on $GUEST_CACHE/disk.raw, beside it vmlinuz and initrd.
make_guest() {
	local lock
	mkdir -p "$CLONEFS_CACHE"
	exec {lock}>"$CLONEFS_CACHE/guest.lock"
	flock "$lock"
	if [[ ! -e $GUEST_CACHE/disk.raw ]]; then
		say "making the guest's image, once"
		need_program mmdebstrap mmdebstrap
		rm -rf "$GUEST_CACHE" "$GUEST_CACHE.new"
		mkdir "$GUEST_CACHE.new"
		build_guest_tree "$GUEST_CACHE.new/tree.tar" >"$T/logs/mmdebstrap" 2>&1 ||
			skip "the guest could not be made: $(tail -n 2 "$T/logs/mmdebstrap")"
		pack_guest "$GUEST_CACHE.new"
		mv "$GUEST_CACHE.new" "$GUEST_CACHE"
	fi
	exec {lock}>&-
}

# build_guest_tree TAR: a small initrd, because unpacking one is slow without hardware help.
build_guest_tree() {
	# shellcheck disable=SC2016 # $1 is the hooks'
	mmdebstrap --variant=minbase --include=$GUEST_PACKAGES \
		--essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d"' \
		--essential-hook='echo MODULES=list >"$1/etc/initramfs-tools/conf.d/guest"' \
		--essential-hook='printf "virtio_pci\nvirtio_blk\next4\ncrc32c_generic\n" >"$1/etc/initramfs-tools/modules"' \
		--customize-hook='chroot "$1" passwd -d root' \
		--customize-hook='echo guest >"$1/etc/hostname"' \
		--customize-hook='echo "/dev/vda / ext4 defaults,errors=remount-ro 0 1" >"$1/etc/fstab"' \
		bookworm "$1"
}

pack_guest() {
	truncate -s 1G "$1/disk.raw"
	format ext4 "$1/disk.raw"
	mount_device "$1/disk.raw" "$T/guest-tree" -o loop
	tar -C "$T/guest-tree" -xf "$1/tree.tar" --numeric-owner
	cp -L "$T/guest-tree/vmlinuz" "$1/vmlinuz"
	cp -L "$T/guest-tree/initrd.img" "$1/initrd"
	umount "$T/guest-tree"
	rm "$1/tree.tar"
	touch -d '2020-09-13 12:26:40 UTC' "$1/disk.raw"
}

# boot_guest IMAGE SCRIPT LOG [SECONDS]: until it has powered itself off.
boot_guest() {
	python3 "$E2E_DIR/guest.py" "$2" "$3" "${4:-900}" qemu-system-x86_64 -accel tcg -cpu qemu64,+rdrand -m 512 \
		-nodefaults -no-user-config -display none -serial stdio -no-reboot \
		-kernel "$GUEST_CACHE/vmlinuz" -initrd "$GUEST_CACHE/initrd" \
		-append "root=/dev/vda rw console=ttyS0 quiet panic=-1" \
		-drive "file=$1,format=raw,if=virtio,cache=none,discard=unmap"
}
