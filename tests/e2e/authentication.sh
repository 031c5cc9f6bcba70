#!/usr/bin/env bash
# Each way to prove who one is, through nginx with TLS; a token that runs out and is renewed while
# mounted; a proxy that wants a login.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/disk.raw" 8M
mkdir "$T/secrets"
export HOME=$T/secrets

# make_client_certificate: $T/secrets/client.pem and client-key.pem, signed by itself; together.pem: both.
make_client_certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=client \
		-keyout "$T/secrets/client-key.pem" -out "$T/secrets/client.pem" 2>/dev/null
	cat "$T/secrets/client.pem" "$T/secrets/client-key.pem" >"$T/secrets/together.pem"
	openssl ec -aes128 -passout pass:geheim -in "$T/secrets/client-key.pem" \
		-out "$T/secrets/locked-key.pem" 2>/dev/null
}

# comes_with OPTIONS: a clone of its own, whole.
comes_with() {
	say "$1"
	mount_clonefs "$NGINX_URL/disk.raw" "$T/mnt" "cacert=$T/cert.pem,$1"
	wait_hydrated
	assert_same_file "$(image_of)" "$T/www/disk.raw"
	umount_clonefs
	rm -rf "$(state_dir_of)"
}

# is_denied PART OPTIONS
is_denied() {
	say "refused: $2"
	mount_refused 1 "$1" "$NGINX_URL/disk.raw" "$T/mnt" "cacert=$T/cert.pem,timeout=4s,$2"
}

say "a login"
printf 'user:{PLAIN}geheim\n' >"$T/htpasswd"
chmod 0644 "$T/htpasswd"
printf 'user:geheim\n' >"$T/secrets/user"
printf 'Authorization: Basic %s\n' "$(printf user:geheim | base64)" >"$T/secrets/headers"
printf 'machine 127.0.0.1 login user password geheim\n' >"$T/secrets/.netrc"
printf 'machine 127.0.0.1 login user password falsch\n' >"$T/secrets/wrong-netrc"
NGINX_MORE="auth_basic here; auth_basic_user_file $T/htpasswd;"
start_nginx tls
is_denied 401 ''
is_denied 401 "netrc=$T/secrets/wrong-netrc"
is_denied USER:PASSWORD "user_file=$T/secrets/.netrc"
comes_with "user_file=$T/secrets/user"
comes_with "header_file=$T/secrets/headers"
comes_with "netrc=$T/secrets/.netrc"
comes_with netrc
stop_nginx

say "a client certificate"
make_client_certificate
NGINX_MORE="ssl_verify_client on; ssl_client_certificate $T/secrets/client.pem;"
start_nginx tls
is_denied 400 ''
is_denied 'client certificate cannot be used' \
	"cert=$T/secrets/client.pem,key=$T/secrets/locked-key.pem"
comes_with "cert=$T/secrets/client.pem,key=$T/secrets/client-key.pem"
comes_with "cert=$T/secrets/together.pem"
stop_nginx

say "a proxy with a login"
start_range_server
# shellcheck disable=SC2016 # nginx's variables
NGINX_MORE='location / {
	if ($http_proxy_authorization != "Basic '$(printf 'me:geheim' | base64)'") { return 407; }
	proxy_pass http://$http_host$request_uri;
	proxy_set_header Host $http_host; proxy_set_header Proxy-Authorization ""; }'
start_nginx
NGINX_PROXY=127.0.0.1:${NGINX_URL##*:}
: >"$NGINX_LOG"
mount_refused 1 407 "$URL/disk.raw" "$T/mnt" "proxy=$NGINX_PROXY,timeout=4s"
mount_clonefs "$URL/disk.raw" "$T/mnt" "proxy=http://me:geheim@$NGINX_PROXY"
wait_hydrated
assert_same_file "$(image_of)" "$T/www/disk.raw"
umount_clonefs
assert_eq "$(server_count)" "$(jq -s 'map(select(.status == 206)) | length' "$NGINX_LOG")" \
	"requests that came by the proxy"
rm -rf "$(state_dir_of)"
say "none, although the environment names one"
http_proxy=http://127.0.0.1:1 mount_clonefs "$URL/disk.raw" "$T/mnt" 'proxy='
umount_clonefs
rm -rf "$(state_dir_of)"

say "a token that runs out, and is renewed while mounted"
server_control '{"user":"user:old"}' >/dev/null
token() {
	printf '# of today\nAuthorization: Basic %s\n' "$(printf 'user:%s' "$1" | base64)" >"$T/secrets/next"
	mv "$T/secrets/next" "$T/secrets/token"
}
token old
mount_clonefs "$URL/disk.raw" "$T/mnt" "header_file=$T/secrets/token,no_hydration,timeout=120s"
assert_same_range "$(image_of)" "$T/www/disk.raw" 3000000 5000
server_control '{"user":"user:new"}' >/dev/null
server_mark
cmp -i 5000000 -n 5000 "$(image_of)" "$T/www/disk.raw" &
READER=$!
wait_for 60 server_has_seen 1
token new
wait "$READER" || fail "the reader did not get the right bytes after the token was renewed"
"$CLONECTL" resume "$T/mnt"
wait_hydrated
assert_same_file "$(image_of)" "$T/www/disk.raw"
umount_clonefs
