# shellcheck shell=bash
# Roots of other systems, for legs that build, install or test in them.

# The mirror this machine uses, so that CI needs no other one.
# shellcheck disable=SC2016 # $(SITE) is apt's
debian_mirror() {
	apt-get indextargets --format '$(SITE)' 'Created-By: Packages' |
		grep -E '/debian/?$' | head -n 1 || true
}

# Made once and kept as an archive, so that each run begins with an untouched root.
make_clean_root() {
	local root=$1 archive=$CLONEFS_CACHE/bookworm-minbase.tar
	if [[ ! -f $archive ]]; then
		mkdir -p "$CLONEFS_CACHE"
		mmdebstrap --quiet --variant=minbase bookworm "$archive.new.tar" "$(debian_mirror)"
		mv "$archive.new.tar" "$archive"
	fi
	tar -x -C "$root" -f "$archive"
	cp -L /etc/resolv.conf "$root/etc/resolv.conf"
	# As on every installed Debian; fusermount3 looks there.
	ln -sf ../proc/self/mounts "$root/etc/mtab"
}

# make_trixie ROOT PACKAGE...: the next Debian. Packages are baked into the kept root; another list of
# packages makes another root.
make_trixie() {
	local root=$1 packages
	shift
	packages=$(IFS=,; echo "$*")
	[[ $(cat "$root/.packages" 2>/dev/null) != "$packages" ]] || return 0
	rm -rf --one-file-system "$root" "$root.new"
	mkdir -p "$(dirname "$root")"
	mmdebstrap --quiet --variant=apt --include="$packages" trixie "$root.new" "$(debian_mirror)"
	printf '%s\n' "$packages" >"$root.new/.packages"
	mv "$root.new" "$root"
}

# copy_tree FOLDER: the tracked files, into a new folder.
copy_tree() {
	mkdir -p "$1"
	tracked | tar -c --no-recursion -T - | tar -x -C "$1"
}

# in_root ROOT COMMAND...: in mount and pid namespaces of its own, so that nothing stays mounted below
# it and nothing goes on running, however it ends. The root is a mount, as on any machine: tests look
# for "/" among the mounts.
# shellcheck disable=SC2016 # expanded by the inner shell
in_root() {
	unshare --mount --pid --fork --kill-child bash -euc '
		root=$1
		shift
		mount --bind "$root" "$root"
		mount -t proc proc "$root/proc"
		mount --rbind /dev "$root/dev"
		mount --rbind /sys "$root/sys"
		mount -t tmpfs tmpfs "$root/tmp"
		exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C CI=true \
			DEBIAN_FRONTEND=noninteractive "$@"
	' in_root "$@"
}
