#!/usr/bin/env bash
# Twenty concurrent random readers, buffered and O_DIRECT, get the right bytes during hydration, and the
# threads that serve them share a heap.
. "$(dirname "$0")/lib.sh"

require_clonefs
SEED=${SEED:-$RANDOM}
say "SEED=$SEED"
make_image "$T/www/disk.raw" 192M
# 64 KiB/s and connection: hydration is still going on when the readers begin.
start_range_server --ttfb-ms 2 --rate 65536

mount_clonefs "$URL/disk.raw"
assert_eq "$(status_field hydration)" running "hydration"
# The brake is let go when the readers are at it.
python3 "$E2E_DIR/random_readers.py" "$(image_of)" "$T/www/disk.raw" 20 150 "$SEED" &
readers=$!
at_exit stop_process "$readers"
server_mark
wait_for 60 server_has_seen 20
assert_eq "$(status_field hydration)" running "hydration while they read"
server_control '{"rate":0}' >/dev/null
wait "$readers" || fail "the readers found a difference"
# Sanitizers have heaps of their own.
is_sanitized || assert_eq "$(python3 "$E2E_DIR/nr_heaps.py" "$(status_field pid)")" 1 \
	"heaps of all threads but the first"

wait_hydrated
assert_same_file "$(image_of)" "$T/www/disk.raw"
umount_clonefs
assert_same_file "$(state_dir_of)/disk.img" "$T/www/disk.raw"
