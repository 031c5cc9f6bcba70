# shellcheck shell=bash
# What every end-to-end test sources first:
#
#     . "$(dirname "$0")/lib.sh"
#
# It gives the test a folder of its own, $T (mnt/ state/ www/ logs/ below it), a mount namespace
# with its own /run/clonefs and a pid namespace, so that nothing it starts or mounts outlives it, not
# even when it is killed. What it sets up is undone at exit, last first; on failure the logs are shown.
#
# Exit status: 0 passed, 77 skipped, else failed. CLONEFS_BUILD names the build folder
# (default build/dev). CLONEFS_KEEP=1 keeps $T.
#
# Functions set variables instead of printing where a test needs to undo something: do not call
# those in $(...).

set -Eeuo pipefail

E2E_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP_DIR=$(cd "$E2E_DIR/../.." && pwd)
TEST_NAME=${0##*/}
TEST_NAME=${TEST_NAME%.sh}
CLONEFS_BUILD=${CLONEFS_BUILD:-$TOP_DIR/build/dev}
MOUNT_CLONEFS=$CLONEFS_BUILD/daemon/mount.clonefs
CLONECTL=$CLONEFS_BUILD/cli/clonectl
export LC_ALL=C

# Once more, as the first process of namespaces of its own, where that is allowed.
if [[ -z ${CLONEFS_E2E_ISOLATED:-} ]]; then
	export CLONEFS_E2E_ISOLATED=no
	if [[ $(id -u) = 0 ]] &&
		unshare --mount --pid --fork --kill-child --mount-proc true 2>/dev/null; then
		CLONEFS_E2E_ISOLATED=yes exec unshare --mount --pid --fork --kill-child --mount-proc \
			"$BASH" "$0" "$@"
	fi
fi

T=$(mktemp -d "${TMPDIR:-/var/tmp}/clonefs-e2e-$TEST_NAME.XXXXXX")
mkdir "$T/mnt" "$T/state" "$T/www" "$T/logs"
mkfifo "$T/.nap"
if [[ $CLONEFS_E2E_ISOLATED = yes ]]; then
	mkdir -p /run/clonefs
	mount -t tmpfs -o mode=0755 clonefs-e2e /run/clonefs
fi

# Sanitizers of a daemon whose stderr is closed write here; any such file fails the test.
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:log_path=$T/logs/sanitizer"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-}:log_path=$T/logs/sanitizer"
export TSAN_OPTIONS="${TSAN_OPTIONS:-}:log_path=$T/logs/sanitizer"

cleanup_stack=()

# at_exit COMMAND...: run when the test ends, last registered first; its failure is only noted.
at_exit() {
	cleanup_stack+=("$(printf '%q ' "$@")")
}

say() {
	printf '%s: %s\n' "$TEST_NAME" "$*" >&2
}

fail() {
	say "FAILED: $*"
	exit 1
}

skip() {
	say "SKIPPED: $*"
	exit 77
}

show_logs() {
	local log
	for log in "$T"/logs/*; do
		[[ -s $log ]] || continue
		printf -- '--- last lines of %s\n' "${log##*/}"
		tail -n 40 "$log" | cut -c 1-400
	done >&2
}

finish() {
	local status=$? i
	trap - EXIT ERR
	set +e
	# What was started is stopped before the verdict: a sanitizer may still have something to say.
	[[ $status = 0 || $status = 77 ]] || show_logs
	for ((i = ${#cleanup_stack[@]} - 1; i >= 0; i--)); do
		eval "${cleanup_stack[i]}" >>"$T/logs/cleanup" 2>&1 ||
			printf 'failed: %s\n' "${cleanup_stack[i]}" >>"$T/logs/cleanup"
	done
	if compgen -G "$T/logs/sanitizer.*" >/dev/null; then
		say "FAILED: a sanitizer found something"
		tail -n 100 "$T"/logs/sanitizer.* >&2
		status=1
	fi
	if [[ ${CLONEFS_KEEP:-} = 1 ]]; then
		say "kept: $T"
	else
		rm -rf --one-file-system "$T"
	fi
	exit "$status"
}

trap finish EXIT
trap 'say "line $LINENO: \"$BASH_COMMAND\" ended with status $?"' ERR
trap 'exit 130' INT TERM HUP

require_root() {
	[[ $(id -u) = 0 ]] || skip "needs root"
}

require_fuse() {
	: 2>/dev/null <>/dev/fuse || skip "needs an accessible /dev/fuse"
}

# need_program PROGRAM PACKAGE
need_program() {
	command -v "$1" >/dev/null || skip "needs $1 (Debian package $2)"
}

# assert_eq FOUND EXPECTED WHAT
assert_eq() {
	[[ $1 = "$2" ]] || fail "$3: found '$1', expected '$2'"
}

# assert_contains TEXT PART WHAT
assert_contains() {
	[[ $1 = *"$2"* ]] || fail "$3: '$2' is not in '$1'"
}

# nap SECONDS: sleeps without a process of its own; the tests do a great deal of it.
nap() {
	read -rt "$1" <>"$T/.nap" || true
}

# wait_for SECONDS COMMAND...: until the command succeeds. The limit is only there for hangs.
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		((SECONDS < end)) || fail "waited too long for: $*"
		nap 0.05
	done
}

# process_is_gone PID
process_is_gone() {
	local stat
	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
	[[ ${stat##*) } = [ZX]* ]]
}

# stop_process PID: asks, waits, insists.
stop_process() {
	local i
	kill -TERM "$1" 2>/dev/null || return 0
	for ((i = 0; i < 100; i++)); do
		process_is_gone "$1" && break
		nap 0.05
	done
	process_is_gone "$1" || kill -KILL "$1" 2>/dev/null || true
	wait "$1" 2>/dev/null || true
}

. "$TOP_DIR/tests/support/packages.sh"
. "$E2E_DIR/lib/image.sh"
. "$E2E_DIR/lib/server.sh"
. "$E2E_DIR/lib/network.sh"
. "$E2E_DIR/lib/clone.sh"
. "$E2E_DIR/lib/holes.sh"
. "$E2E_DIR/lib/filesystem.sh"
. "$E2E_DIR/lib/failing.sh"
