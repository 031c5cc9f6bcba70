#!/usr/bin/env bash
# ext4, read-write, on a loop device on a clone that hydrates.
. "$(dirname "$0")/lib.sh"
. "$E2E_DIR/lib/loop_filesystem.sh"

require_clonefs
loop_filesystem ext4 192M
