#!/usr/bin/env bash
# The model itself, on a plain file: it agrees with a file that keeps what it is given, also when a
# crash takes what was not synced, and finds one that loses what was, or changes by itself.
set -euo pipefail

model_io=$CLONEFS_BUILD/tests/support/model_io/model_io
# Not /tmp: a tmpfs knows no ZERO_RANGE.
folder=$(mktemp -d /var/tmp/clonefs-model_io.XXXXXX)
trap 'rm -rf "$folder"' EXIT
head -c 3000001 /dev/urandom >"$folder/begin"

# After a finding it ends beside its threads.
export TSAN_OPTIONS=${TSAN_OPTIONS:+$TSAN_OPTIONS:}report_thread_leaks=0

# try EXPECTED-STATUS NAME OPTION...
try() {
	local expected=$1 name=$2 status=0
	shift 2
	cp "$folder/begin" "$folder/image"
	# Most file systems want aligned O_DIRECT.
	"$model_io" --image "$folder/image" --begin "$folder/begin" --region-size 4K --seed 7 \
		--weight read_direct=0 --weight write_direct=0 "$@" 2>"$folder/log" || status=$?
	[[ $status = "$expected" ]] && return
	cat "$folder/log" >&2
	printf '%s: status %d, expected %d\n' "$name" "$status" "$expected" >&2
	exit 1
}

try 0 'a file' --operations 3000 --save "$folder/expected"
cmp "$folder/image" "$folder/expected"
try 0 'crashes that lose nothing' --operations 3000 --crash-every 300 --kill true --mount true
try 1 'a crash that loses all' --operations 3000 --crash-every 300 --kill true \
	--mount "cp '$folder/begin' '$folder/image'"
try 1 'a crash that spoils something' --operations 3000 --crash-every 1000 --kill true \
	--mount "head -c 300000 /dev/urandom | dd of='$folder/image' bs=1M seek=1 conv=notrunc status=none"
try 1 'a crash that spoils one byte' --operations 3000 --crash-every 1000 --compare-all --kill true \
	--mount "printf x | dd of='$folder/image' bs=1 seek=1234567 conv=notrunc status=none &&
		printf y | dd of='$folder/image' bs=1 seek=1234568 conv=notrunc status=none"
try 2 'wrong usage' --operations none
