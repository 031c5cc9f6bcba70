#!/usr/bin/env bash
# A source that redirects each reader to a place that holds for a while, as registries and object
# stores do: where it leads is remembered, and when that place refuses the source is asked again, once,
# and the read goes on.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/disk.raw" 16M
start_range_server
PLACE=$URL
PLACE_LOG=$SERVER_LOG
start_range_server

lead_to() {
	server_control "{\"clear\":true,\"faults\":[{\"fault\":\"redirect\",\"location\":\"$1\",\"status\":307}]}" \
		>/dev/null
}
# place_control JSON
place_control() {
	curl -gfsS --noproxy '*' --max-time 60 -d "$1" "$PLACE/_control" >/dev/null
}
# read_at OFFSET: a region of its own.
read_at() {
	assert_same_range "$(image_of)" "$T/www/disk.raw" "$1" 4096
}

lead_to "$PLACE/disk.raw?signature=1"
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration,timeout=120s
read_at 1000000
read_at 3000000
assert_eq "$(server_count)" 1 "requests to the source: the mount's"
offset=4000000
for status in 401 403 404 410; do
	say "the place answers $status"
	before=$(server_count)
	place_control "{\"faults\":[{\"fault\":\"status\",\"status\":$status,\"count\":1}]}"
	read_at $((offset += 1000000))
	assert_eq "$(($(server_count) - before))" 1 "requests to the source after a refusal"
	read_at $((offset += 1000000))
	assert_eq "$(($(server_count) - before))" 1 "requests to the source after that"
done

say "the place is gone, and the source knows another one"
cp "$T/www/disk.raw" "$T/www/elsewhere.raw"
touch -r "$T/www/disk.raw" "$T/www/elsewhere.raw"
place_control '{"faults":[{"fault":"status","status":403,"path":"/disk.raw"}]}'
lead_to "$PLACE/elsewhere.raw"
"$CLONECTL" resume "$T/mnt"
wait_hydrated
assert_same_file "$(image_of)" "$T/www/disk.raw"
umount_clonefs
[[ $(grep -c elsewhere.raw "$PLACE_LOG") -gt 0 ]] || fail "nothing came from the other place"
rm -rf "$(state_dir_of)"

say "never to a file, never round and round"
lead_to file:///etc/passwd
mount_refused 1 'neither http nor https' "$URL/disk.raw" "$T/mnt" timeout=2s
server_fault redirect
mount_refused 1 'more than 10 times' "$URL/disk.raw" "$T/mnt" timeout=2s

say "never from https down to http"
make_certificate
start_range_server --tls "$T/cert.pem" "$T/key.pem"
lead_to "$PLACE/elsewhere.raw"
mount_refused 1 'from https down to http' "$URL/disk.raw" "$T/mnt" "cacert=$T/cert.pem,timeout=2s"

say "but when asked to"
lead_to "$PLACE/elsewhere.raw"
mount_clonefs "$URL/disk.raw" "$T/mnt" "cacert=$T/cert.pem,insecure_redirect"
wait_hydrated
assert_same_file "$(image_of)" "$T/www/disk.raw"
umount_clonefs
