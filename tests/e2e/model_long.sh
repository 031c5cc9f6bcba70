#!/usr/bin/env bash
# model.sh with twice the operations: minutes.
export OPERATIONS=${OPERATIONS:-200000}
exec "$(dirname "$0")/model.sh"
