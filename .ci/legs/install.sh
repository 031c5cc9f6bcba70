# shellcheck shell=bash
# cmake --install puts the programs where they belong, they start there, and the tree stays clean.

leg_install() {
	local before root
	before=$(git status --porcelain)
	root=$(mktemp -d)
	# shellcheck disable=SC2064 # now: the variable is gone when it runs
	trap "rm -rf '$root'" EXIT
	build_product
	DESTDIR=$root cmake --install build/product --prefix /usr >/dev/null
	test -x "$root/usr/sbin/clonefsd"
	test "$(readlink "$root/usr/sbin/mount.clonefs")" = clonefsd
	test -x "$root/usr/bin/clonectl"
	"$root/usr/bin/clonectl" version
	"$root/usr/sbin/mount.clonefs" -V
	if [[ $(git status --porcelain) != "$before" ]]; then
		printf 'building changed the tree:\n' >&2
		git status --short >&2
		return 1
	fi
}
