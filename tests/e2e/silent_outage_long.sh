#!/usr/bin/env bash
# silent_outage.sh with an outage in which all attempts are given up and made again: those are repeated by TCP 3.7 s
# after it, in new connections, whose repetitions cannot be put off.
export OUTAGE_MS=${OUTAGE_MS:-13400} LATE_MS=${LATE_MS:-3000}
exec "$(dirname "$0")/silent_outage.sh"
