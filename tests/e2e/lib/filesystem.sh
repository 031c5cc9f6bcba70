# shellcheck shell=bash
# File systems on images, trees to put into them.

# make_tree FOLDER FILES [SEED]: that many files of reproducible bytes and sizes (0 to 64 KiB, each 50th
# 1 MiB), in folders, with links, modes and holes.
make_tree() {
	python3 - "$@" <<-'END'
		import os, random, sys
		root, files, seed = sys.argv[1], int(sys.argv[2]), int((sys.argv[3:] or [1])[0])
		numbers = random.Random(seed)
		for i in range(files):
		    folder = "%s/%02d/%02d" % (root, i % 17, i % 5)
		    os.makedirs(folder, exist_ok=True)
		    name = "%s/file-%d" % (folder, i)
		    with open(name, "wb") as f:
		        f.write(numbers.randbytes(1 << 20 if i % 50 == 49 else numbers.randrange(1 << 16)))
		        if i % 40 == 7:
		            f.truncate(f.tell() + 300000)
		    os.chmod(name, 0o600 + numbers.randrange(0o100))
		    if i % 20 == 3:
		        os.symlink("file-%d" % i, name + ".link")
	END
}

# same_tree FOLDER FOLDER: names, types, modes, links and bytes.
same_tree() {
	diff -r --no-dereference --exclude=lost+found "$1" "$2" >&2 || fail "$1 and $2 differ"
	diff <(tree_attributes "$1") <(tree_attributes "$2") >&2 || fail "$1 and $2 differ in attributes"
}

tree_attributes() {
	(cd "$1" && find . ! -name lost+found ! -path . -printf '%p %y %m %U %G %l\n' | sort)
}

# make_filesystem_image FILE SIZE TYPE FOLDER [SEED]: a file system of that type with what is in the
# folder; what it does not use is full of random bytes, so that fetching it would show.
make_filesystem_image() {
	local file=$1 type=$3 folder=$4
	make_image "$file" "$2" "${5:-1}"
	format "$type" "$file"
	mount_device "$file" "$T/make" -o loop
	cp -a "$folder/." "$T/make/"
	umount "$T/make"
	touch -d '2020-09-13 12:26:40 UTC' "$file"
}

# format TYPE FILE: without discarding anything.
format() {
	case $1 in
	ext4) mkfs.ext4 -q -F -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 "$2" ;;
	xfs) need_program mkfs.xfs xfsprogs && mkfs.xfs -q -f -K "$2" ;;
	btrfs) need_program mkfs.btrfs btrfs-progs && mkfs.btrfs -q -f -K "$2" ;;
	esac >>"$T/logs/mkfs" 2>&1
}

# check_filesystem TYPE DEVICE: complains about anything, changes nothing.
check_filesystem() {
	local status=0
	case $1 in
	ext4) e2fsck -fn "$2" ;;
	xfs) xfs_repair -n "$2" ;;
	btrfs) btrfs check --readonly "$2" ;;
	esac >"$T/logs/fsck" 2>&1 || status=$?
	[[ $status = 0 ]] || fail "$2 is not clean: $(tail -n 5 "$T/logs/fsck")"
}

# kernel_has_filesystem TYPE
kernel_has_filesystem() {
	grep -qw "$1" /proc/filesystems || modprobe "$1" 2>/dev/null
}
