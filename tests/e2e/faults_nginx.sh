#!/usr/bin/env bash
# The table of faults.py again, through nginx with TLS and HTTP/2, which passes some faults on and turns
# others into its own: the reader gets the same, or what nginx makes of it.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/image" 1M 1
start_range_server
start_nginx proxy "$URL"
export MOUNT_CLONEFS CLONECTL FAULT_OPTIONS="cacert=$T/cert.pem"
python3 "$E2E_DIR/faults.py" "$T" "$URL" "$NGINX_URL"
