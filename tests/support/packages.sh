# shellcheck shell=bash
# The Debian packages that building, testing and CI need: the one list for quickstart, tests/run and
# .ci/run, and the functions that install what is missing. To be sourced.

BUILD_PACKAGES=(
	gcc libc6-dev cmake ninja-build pkg-config
	libfuse3-dev libcurl4-openssl-dev libssl-dev libsqlite3-dev libjansson-dev libmicrohttpd-dev libsystemd-dev
)
RUN_PACKAGES=(fuse3 ca-certificates)
TEST_PACKAGES=(
	libcmocka-dev python3 jq curl openssl procps iproute2 util-linux mount e2fsprogs zstd
	xfsprogs btrfs-progs fdisk qemu-utils xz-utils attr mmdebstrap
)
# What the heavy tests need besides.
HEAVY_PACKAGES=(qemu-system-x86)
CI_PACKAGES=(
	git clang clang-format clang-tidy libclang-rt-dev shellcheck
)

# What these packages bring is found before other programs of the same name: the tests start python3
# hundreds of times, and one that a version manager has put first takes four times as long.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH

# What is fetched once and kept between runs; only root may write there.
CLONEFS_CACHE=${CLONEFS_CACHE:-/var/cache/clonefs-tests}

# missing_packages PACKAGE...: prints those that are not installed.
missing_packages() {
	local package
	for package in "$@"; do
		[[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) = installed ]] ||
			printf '%s\n' "$package"
	done
}

apt_get() {
	DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 "$@" </dev/null
}

# install_packages PACKAGE...: nothing if all are there. Who is not root, or not on Debian, is told
# what is missing and goes on: the build says by itself what it cannot do without.
install_packages() {
	local missing
	if ! command -v dpkg-query >/dev/null; then
		printf 'Not a Debian system: please see to it that these are there: %s\n' "$*" >&2
		return 0
	fi
	mapfile -t missing < <(missing_packages "$@")
	((${#missing[@]})) || return 0
	if [[ $(id -u) != 0 ]]; then
		printf 'Missing packages; as root: apt-get install %s\n' "${missing[*]}" >&2
		return 0
	fi
	printf 'Installing %s\n' "${missing[*]}" >&2
	apt_get update
	apt_get install --no-install-recommends -y "${missing[@]}" >/dev/null
}

install_build_packages() {
	install_packages "${BUILD_PACKAGES[@]}" "${RUN_PACKAGES[@]}"
}

install_test_packages() {
	install_packages "${BUILD_PACKAGES[@]}" "${RUN_PACKAGES[@]}" "${TEST_PACKAGES[@]}"
	fetch_nginx
}

install_heavy_packages() {
	install_packages "${HEAVY_PACKAGES[@]}"
}

install_ci_packages() {
	install_packages "${BUILD_PACKAGES[@]}" "${RUN_PACKAGES[@]}" "${TEST_PACKAGES[@]}" \
		"${CI_PACKAGES[@]}"
	fetch_nginx
}

# nginx_program: prints where it is, or fails.
nginx_program() {
	PATH=$PATH:/usr/sbin:$CLONEFS_CACHE/nginx/usr/sbin command -v nginx
}

# Unpacked, not installed: installing would start and enable a web server on this machine. Without
# nginx the tests that want it are skipped.
fetch_nginx() {
	if nginx_program >/dev/null || [[ $(id -u) != 0 ]] || ! command -v dpkg-query >/dev/null; then
		return 0
	fi
	rm -rf "$CLONEFS_CACHE/nginx"
	mkdir -p "$CLONEFS_CACHE/nginx"
	(
		cd "$CLONEFS_CACHE/nginx"
		apt_get download nginx 2>/dev/null || { apt_get update && apt_get download nginx; }
		dpkg -x nginx_*.deb .
		rm nginx_*.deb
	) || printf 'nginx could not be fetched: its tests will be skipped\n' >&2
}
