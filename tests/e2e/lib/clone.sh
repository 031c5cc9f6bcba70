# shellcheck shell=bash
# Mounting, asking and killing clones. M, the mountpoint, is $T/mnt unless given; the state dir is
# $T/state/NAME-OF-THE-MOUNTPOINT unless state_dir= is among the options.

require_clonefs() {
	require_root
	require_fuse
	[[ -x $MOUNT_CLONEFS && -x $CLONECTL ]] || fail "not built: $MOUNT_CLONEFS and $CLONECTL"
}

# is_sanitized: the build has AddressSanitizer or ThreadSanitizer in it.
is_sanitized() {
	grep -q -a -E '__(asan|tsan)_init' "$MOUNT_CLONEFS"
}

# The programs where every user may run them: the build folder may lie below somebody's home.
use_copied_programs() {
	mkdir "$T/bin"
	cp "$(readlink -f "$MOUNT_CLONEFS")" "$T/bin/clonefsd"
	ln -s clonefsd "$T/bin/mount.clonefs"
	cp "$CLONECTL" "$T/bin/clonectl"
	chmod 0755 "$T/bin"
	MOUNT_CLONEFS=$T/bin/mount.clonefs
	CLONECTL=$T/bin/clonectl
}

clone_name() {
	local name=e2e-$TEST_NAME-$$-${1##*/}
	printf '%s' "${name:$((${#name} > 64 ? -64 : 0))}"
}

state_dir_of() {
	local mountpoint=${1:-$T/mnt}
	printf '%s/state/%s' "$T" "${mountpoint##*/}"
}

# mount_clonefs SOURCE [M] [OPTION,...]: as mount.clonefs; its exit status and stderr are the caller's.
mount_clonefs() {
	local source=$1 mountpoint=${2:-$T/mnt} options=${3:-}
	mkdir -p "$mountpoint" 2>/dev/null || true
	[[ ,$options = *,state_dir=* ]] || options="state_dir=$(state_dir_of "$mountpoint"),$options"
	[[ ,$options = *,name=* ]] || options="name=$(clone_name "$mountpoint"),$options"
	at_exit unmount_clone_at_exit "$mountpoint"
	"$MOUNT_CLONEFS" -o "${options%,}" "$source" "$mountpoint"
}

# mount_refused STATUS SENTENCE-PART SOURCE [M] [OPTION,...]: it must fail just so.
mount_refused() {
	local expected=$1 part=$2 status=0 text
	shift 2
	text=$(mount_clonefs "$@" 2>&1) || status=$?
	[[ $status != 0 ]] || umount "${2:-$T/mnt}"
	assert_eq "$status" "$expected" "exit status of the refused mount ($text)"
	assert_contains "$text" "$part" "the sentence of the refused mount"
	assert_eq "$(wc -l <<<"$text")" 1 "lines of the refusal"
}

# unmounted MOUNTPOINT: it is now; no while somebody uses it, and a failed test at any other refusal.
unmounted() {
	umount "$1" 2>"$T/logs/unmounted" || {
		grep -q 'busy' "$T/logs/unmounted" || fail "umount $1: $(cat "$T/logs/unmounted")"
		false
	}
}

# umount_clonefs [M] [STATE_DIR]: and waits until the daemon has let go. "Busy" is asked again: a
# detached loop device keeps its file until the last program closes the device, and that may be
# another test's losetup, which looks at all of them.
umount_clonefs() {
	local mountpoint=${1:-$T/mnt}
	wait_for 20 unmounted "$mountpoint"
	"$CLONECTL" wait --exit --timeout 120s "${2:-$(state_dir_of "$mountpoint")}"
}

unmount_clone_at_exit() {
	grep -q " $1 fuse.clonefs " /proc/self/mounts || return 0
	umount "$1" || umount -l "$1"
	# A daemon that hangs goes with the pid namespace.
	timeout 60 "$CLONECTL" wait --exit --timeout 30s "$(state_dir_of "$1")"
}

# status_of [M]: the JSON object.
status_of() {
	"$CLONECTL" status --json "${1:-$T/mnt}"
}

# status_field FIELD [M]. Tests wait by asking for fields, and starting jq takes longer than the answer:
# it is for what is not a plain value of the object itself, which clonectl indents by two spaces.
status_field() {
	local json simple
	json=$(status_of "${2:-$T/mnt}") || return
	simple=$'\n'"  \"$1\": (\"([^\"\\]*)\"|[a-z0-9.-]+)[,}[:space:]]"
	if [[ $json =~ $simple ]]; then
		printf '%s\n' "${BASH_REMATCH[2]:-${BASH_REMATCH[1]//\"/}}"
	else
		jq -r --arg field "$1" '.[$field]' <<<"$json"
	fi
}

# status_is FIELD VALUE [M], for wait_for
status_is() {
	[[ $(status_field "$1" "${3:-$T/mnt}") = "$2" ]]
}

# status_at_least FIELD NUMBER [M], for wait_for
status_at_least() {
	(($(status_field "$1" "${3:-$T/mnt}") >= $2))
}

# kill_daemon [M]: kill -9, and waits until it is gone; the mountpoint stays behind, dead.
kill_daemon() {
	local pid
	pid=$(status_field pid "${1:-$T/mnt}")
	kill -KILL "$pid"
	wait_for 60 process_is_gone "$pid"
}

# wait_hydrated [M]: 100 % committed.
wait_hydrated() {
	"$CLONECTL" wait --timeout 300s "${1:-$T/mnt}"
}

# image_of [M] [NAME]: the exposed file.
image_of() {
	printf '%s/%s' "${1:-$T/mnt}" "${2:-disk.raw}"
}

# metadata_of [M]: the metadata file of its clone.
metadata_of() {
	printf '%s/metadata' "$(state_dir_of "${1:-$T/mnt}")"
}

# committed_ranges FILE: "FIRST LAST" of each hydrated range on disk, both included.
committed_ranges() {
	"$CLONECTL" dump --json "$1" | jq -r '.hydrated_ranges[] | "\(.[0]) \(.[1])"'
}

# committed_count FILE
committed_count() {
	"$CLONECTL" dump --json "$1" | jq .hydrated
}

# missing_regions FILE COUNT: so many regions that are not hydrated on disk, far from each other.
missing_regions() {
	"$CLONECTL" dump --json "$1" | jq -r --argjson count "$2" '
		.nr_regions as $total
		| reduce .hydrated_ranges[] as [$first, $last] ([range($total)];
			. - [range($first; $last + 1)])
		| . as $missing
		| range($count) | $missing[(. * ($missing | length) / $count) | floor]'
}

# assert_nothing_mounted: no clone is, in this mount namespace.
assert_nothing_mounted() {
	! grep fuse.clonefs /proc/self/mounts >&2 || fail "something is mounted"
}

# reads_at OFFSET [M] [MODEL]: a page that no cache has is there and right; false if not.
reads_at() {
	dd if="$(image_of "${2:-}")" iflag=direct,skip_bytes bs=4096 count=1 skip="$1" status=none \
		2>"$T/logs/reads" | cmp -s -n 4096 - <(tail -c +$(($1 + 1)) "${3:-$T/www/disk.raw}" 2>/dev/null)
}

# fails_at OFFSET [M]: EIO.
fails_at() {
	local status=0
	dd if="$(image_of "${2:-}")" iflag=direct,skip_bytes bs=4096 count=1 skip="$1" of=/dev/null \
		2>"$T/logs/reads-$1" || status=$?
	assert_eq "$status" 1 "a read without a source"
	assert_contains "$(cat "$T/logs/reads-$1")" "Input/output error" "its error"
}

# reason_has PART [M], for wait_for
reason_has() {
	[[ $(status_field reason "${2:-$T/mnt}") = *"$1"* ]]
}
