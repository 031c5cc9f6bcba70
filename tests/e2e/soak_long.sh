#!/usr/bin/env bash
# soak.sh with 500 kills: minutes.
export ROUNDS=${ROUNDS:-500}
exec "$(dirname "$0")/soak.sh"
