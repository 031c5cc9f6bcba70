#!/usr/bin/env bash
# A client certificate is for the origin of the user's own URL: another one that a redirect leads to and that
# asks for it, with the same CA, is not offered it, neither before nor after the own origin was. The servers
# write down what they were offered.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/disk.raw" 4M 1
make_certificate
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=clonefs-client \
	-keyout "$T/client.key" -out "$T/client.pem" 2>/dev/null

asks=(--tls "$T/cert.pem" "$T/key.pem" --client-ca "$T/client.pem" --certificate-optional)
start_range_server "${asks[@]}"
PLACE=$URL
PLACE_LOG=$SERVER_LOG
start_range_server "${asks[@]}"
own=$URL own_log=$SERVER_LOG

# seen LOG CONDITION: requests
seen() { jq -s "map(select(.event == \"start\") | .headers.certificate) | map(select($2)) | length" "$1"; }
OPTIONS=no_hydration,timeout=1m,cacert=$T/cert.pem,cert=$T/client.pem,key=$T/client.key

say "each as the origin is offered the certificate"
mount_clonefs "$own/disk.raw" "$T/mnt" "$OPTIONS"
reads_at 1048576 || fail "not readable with the certificate"
umount_clonefs
rm -r "$(state_dir_of)"
mount_clonefs "$PLACE/disk.raw" "$T/mnt" "$OPTIONS"
umount_clonefs
rm -r "$(state_dir_of)"
assert_eq "$(seen "$own_log" '. != "clonefs-client"')" 0 "requests without the certificate"
assert_eq "$(seen "$PLACE_LOG" '. == "clonefs-client"')" 1 "requests with it at the other place, as an origin"
: >"$PLACE_LOG"

say "a redirect to the other place"
server_fault redirect "\"location\":\"$PLACE/disk.raw\",\"status\":307"
mount_clonefs "$own/disk.raw" "$T/mnt" "$OPTIONS"
reads_at 1048576 || fail "not readable at the other place"
# It refuses once: the own origin is asked again, and leads there again.
curl -gfsSk --noproxy '*' -d '{"faults":[{"fault":"status","status":403,"count":1}]}' "$PLACE/_control" >/dev/null
reads_at 2097152 || fail "not readable at the other place after a refusal"
# And the other way round: what comes next is from the own origin, then from the other place again.
server_fault ''
curl -gfsSk --noproxy '*' -d '{"faults":[{"fault":"status","status":403,"count":1}]}' "$PLACE/_control" >/dev/null
reads_at 3145728 || fail "not readable at the own origin"
server_fault redirect "\"location\":\"$PLACE/disk.raw\",\"status\":307"
server_control '{"drop_connections":true}' >/dev/null
"$CLONECTL" resume "$T/mnt"
wait_hydrated
assert_same_file "$(image_of)" "$T/www/disk.raw"
umount_clonefs
(($(seen "$PLACE_LOG" true) > 3)) || fail "nothing came from the other place"
assert_eq "$(seen "$PLACE_LOG" '. != null')" 0 "requests at the other place with the certificate"
assert_eq "$(seen "$own_log" '. != "clonefs-client"')" 0 "requests at the own origin without it"
say "$(seen "$PLACE_LOG" true) requests came to the other place without it, $(seen "$own_log" true) to the own with it"
