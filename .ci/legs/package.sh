# shellcheck shell=bash
# cpack makes one Debian package; in a clean Debian 12 root it installs with its dependencies, mounts
# images, and is purged without a trace.

build_package() {
	build_product
	rm -rf build/product/package
	cpack --config build/product/CPackConfig.cmake -G DEB -B build/product/package >/dev/null
}

# The one package, its contents and what it depends on.
check_package() {
	local package=$1 file contents depends
	contents=$(dpkg-deb -c "$package")
	for file in ./usr/sbin/clonefsd './usr/sbin/mount.clonefs -> clonefsd' ./usr/bin/clonectl \
		./usr/share/man/man8/mount.clonefs.8.gz ./usr/share/man/man8/clonefsd.8.gz \
		./usr/share/man/man1/clonectl.1.gz ./usr/share/doc/clonefs/copyright \
		./usr/share/bash-completion/completions/clonectl; do
		if [[ $contents != *" $file"* ]]; then
			printf '%s lacks %s\n' "$package" "$file" >&2
			return 1
		fi
	done
	depends=$(dpkg-deb -f "$package" Depends)
	printf '%s depends on %s\n' "$package" "$depends"
	for file in fuse3 libfuse3-3 libc6 libcurl4 libssl3 libsqlite3-0 libmicrohttpd12 libjansson4; do
		[[ $depends =~ (^|[ ,])$file([ ,:]|$) ]] || {
			printf 'the package does not depend on %s\n' "$file" >&2
			return 1
		}
	done
}

leg_package() {
	local packages=() scratch server
	if [[ $(id -u) != 0 ]] || ! : <>/dev/fuse; then
		printf 'needs root and /dev/fuse\n' >&2
		return 1
	fi
	install_packages scdoc dpkg-dev file mmdebstrap python3
	build_package
	mapfile -t packages < <(find build/product/package -maxdepth 1 -name '*.deb')
	if [[ ${#packages[@]} != 1 || ${packages[0]##*/} != clonefs_*_"$(dpkg --print-architecture)".deb ]]; then
		printf 'expected one package, found: %s\n' "${packages[*]}" >&2
		return 1
	fi
	check_package "${packages[0]}"

	scratch=$(mktemp -d /var/tmp/clonefs-package.XXXXXX)
	# shellcheck disable=SC2064 # now: the variables are gone when it runs
	trap "rm -rf --one-file-system '$scratch'" EXIT
	mkdir "$scratch/root" "$scratch/www"
	make_clean_root "$scratch/root"
	# No whole number of regions or sectors, and nothing that compresses into holes.
	head -c 8388999 /dev/urandom >"$scratch/www/disk.raw"
	python3 tests/support/range_server --root "$scratch/www" --port-file "$scratch/port" --with-parent \
		>/dev/null &
	server=$!
	# shellcheck disable=SC2064
	trap "kill $server; rm -rf --one-file-system '$scratch'" EXIT
	until [[ -f $scratch/port ]]; do
		kill -0 "$server"
		sleep 0.05
	done
	cp "${packages[0]}" "$scratch/root/root/clonefs.deb"
	cp "$scratch/www/disk.raw" "$scratch/root/root/local.raw"
	cp .ci/package-trial "$scratch/root/root/package-trial"
	in_root "$scratch/root" bash /root/package-trial "http://127.0.0.1:$(<"$scratch/port")/disk.raw" \
		"$(sha256sum <"$scratch/www/disk.raw")"
}
