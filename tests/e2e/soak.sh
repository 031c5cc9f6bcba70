#!/usr/bin/env bash
# kill -9 at random moments, again and again: while it makes its state dir, while it starts, while it
# serves, while it commits. A mount over what is left finds the last fsynced bytes or newer ones, the
# source's elsewhere, and metadata without a flaw.
#
# ROUNDS (kills) and SEED from the environment, to look closer.
. "$(dirname "$0")/lib.sh"

require_clonefs
ROUNDS=${ROUNDS:-30}
SEED=${SEED:-$RANDOM}
say "SEED=$SEED ROUNDS=$ROUNDS"
make_image "$T/www/small.raw" 4M "$SEED"
make_image "$T/www/odd.raw" 6000001 "$SEED"
start_range_server --ttfb-ms 1
at_exit unmount_clone_at_exit "$T/mnt"
python3 "$E2E_DIR/soak.py" run --rounds "$ROUNDS" --seed "$SEED" --folder "$T" --url "$URL" \
	--mount-program "$MOUNT_CLONEFS" --clonectl "$CLONECTL" \
	--model-io "$CLONEFS_BUILD/tests/support/model_io/model_io" \
	--checker "$TOP_DIR/tests/kernel/cmcheck.py"
