#!/usr/bin/env bash
# nginx as people run it: plain, and over TLS with a certificate of one's own (cacert=).
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/disk.raw" 60000000
cp "$T/www/disk.raw" "$T/www/a b%ä.raw"

# hydrate_from URL NAME-OF-IMAGE OPTIONS
hydrate_from() {
	mount_clonefs "$1" "$T/mnt" "$3"
	assert_same_range "$T/mnt/$2" "$T/www/disk.raw" 33333333 100000
	wait_hydrated
	assert_same_file "$T/mnt/$2" "$T/www/disk.raw"
	umount_clonefs
	assert_same_file "$(state_dir_of)/disk.img" "$T/www/disk.raw"
	rm -rf "$(state_dir_of)"
}

say plain
start_nginx
hydrate_from "$NGINX_URL/disk.raw" disk.raw ''
hydrate_from "$NGINX_URL/a%20b%25%C3%A4.raw" 'a b%ä.raw' max_connections=3,hydration_batch_size=1
stop_nginx
assert_eq "$(jq -s 'map(select(.method != "GET" or .status != 206)) | length' "$NGINX_LOG")" 0 \
	"requests that were no ranged GET"
connections=$(jq -s 'map(.conn) | unique | length' "$NGINX_LOG")
requests=$(jq -s length "$NGINX_LOG")
say "$requests requests over $connections connections"
((connections <= 100)) || fail "connections are not kept: $connections for $requests requests"

say TLS
start_nginx tls
mount_refused 1 certificate "$NGINX_URL/disk.raw" "$T/mnt" timeout=5s
hydrate_from "$NGINX_URL/disk.raw" disk.raw "cacert=$T/cert.pem"
hydrate_from "${NGINX_URL/127.0.0.1/localhost}/disk.raw" disk.raw "cacert=$T/cert.pem"
