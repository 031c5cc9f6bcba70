#!/usr/bin/env bash
# What a server can do wrong, and what becomes of it: the table is in faults.py. FAULT_TABLE
# names a file for it with the measured times (docs/sources.md).
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/image" 1M 1
start_range_server
export MOUNT_CLONEFS CLONECTL
python3 "$E2E_DIR/faults.py" "$T" "$URL" "$URL" ${FAULT_TABLE:+"$FAULT_TABLE"}
