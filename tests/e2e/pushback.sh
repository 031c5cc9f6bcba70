#!/usr/bin/env bash
# A server that bears a few requests at a time and refuses the others without a word of how long to wait
# (nginx with limit_conn): background finds out how many, and who reads is served meanwhile.
. "$(dirname "$0")/lib.sh"

require_clonefs
need_program jq jq
make_image "$T/www/disk.raw" 192M
# shellcheck disable=SC2016,SC2034 # nginx's variable; lib/server.sh
NGINX_ABOVE='limit_conn_zone $server_port zone=few:1m;'
# shellcheck disable=SC2034
NGINX_MORE='limit_conn few 4; limit_rate 16m; limit_conn_log_level info;'
start_nginx

mount_clonefs "$NGINX_URL/disk.raw" "$T/mnt"
wait_hydrated
assert_same_file "$T/mnt/disk.raw" "$T/www/disk.raw"
umount_clonefs
grep -q '"status":503' "$NGINX_LOG" || fail "nginx has refused nothing: this tests nothing"

# Once a third is there it is known how many: one more is tried every two seconds.
late=$(jq -sc '[foreach .[] as $entry (0; . + $entry.sent; [., $entry])] | map(select(.[0] > 67108864)[1]) |
	{refused: map(select(.status == 503)) | length, seconds: (last.time - first.time)}' "$NGINX_LOG")
say "then: $late"
jq -e '.refused <= 8 + .seconds' <<<"$late" >/dev/null || fail "the server goes on refusing: $late"

# Who reads beside it, here and there and from the beginning, gets his bytes, and read-ahead keeps to it:
# the first wave of refusals, whoever sent it, says how many. No wave is larger than the sixteen
# connections, and a second one is allowed; read-ahead that does not care is refused hundreds of times.
rm -rf "$(state_dir_of)"
entries=$(wc -l <"$NGINX_LOG")
mount_clonefs "$NGINX_URL/disk.raw" "$T/mnt"
assert_same_range "$T/mnt/disk.raw" "$T/www/disk.raw" 177777777 100000
assert_same_file "$T/mnt/disk.raw" "$T/www/disk.raw"
read_beside=$(tail -n "+$((entries + 1))" "$NGINX_LOG" | jq -sc \
	'{refused: map(select(.status == 503)) | length, seconds: (last.time - first.time)}')
say "a sequential reader: $read_beside"
jq -e '.refused <= 32 + .seconds' <<<"$read_beside" >/dev/null ||
	fail "the server goes on refusing what is read ahead: $read_beside"
