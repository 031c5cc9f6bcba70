#!/usr/bin/env bash
# Proxies that tunnel, CONNECT and SOCKS5, with and without a login: all bytes come through them, a proxy looks
# up names itself where it shall, and sees nothing of what is said to the server over TLS.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/disk.raw" 4M 1
make_certificate
mkdir "$T/secrets"
for kind in origin header query; do
	printf 'geheim-%s-%s' "$kind" "$(head -c 9 /dev/urandom | base64 | tr +/ xy)" >"$T/secrets/$kind"
done
s() { cat "$T/secrets/$1"; }
printf 'name:%s\n' "$(s origin)" >"$T/secrets/user_file"
printf 'X-Api-Key: %s\n' "$(s header)" >"$T/secrets/header_file"
# What must not be seen: the secrets as they are, and the login as it goes over the wire.
{
	for kind in origin header query; do
		printf '%s\n' "$(s "$kind")"
	done
	printf 'name:%s' "$(s origin)" | base64 -w 0 | cut -c 1-28
} >"$T/patterns"

# start_proxy [OPTIONS]: sets PROXY (host:port), PROXY_PID and PROXY_LOG.
start_proxy() {
	proxies=$((${proxies:-0} + 1))
	PROXY_LOG=$T/logs/proxy-$proxies
	python3 "$TOP_DIR/tests/support/tunnel_proxy.py" --port-file "$T/proxy-$proxies" --log "$PROXY_LOG" \
		--hosts origin.test=127.0.0.1 "$@" 2>"$T/logs/proxy-errors-$proxies" &
	PROXY_PID=$!
	at_exit stop_process "$PROXY_PID"
	wait_for 60 test -s "$T/proxy-$proxies"
	PROXY=127.0.0.1:$(cat "$T/proxy-$proxies")
}
# tunnels CONDITION: how many of them there were.
tunnels() { jq -s "map(select($1)) | length" "$PROXY_LOG"; }
proxy_saw_secrets() { grep -a -q -F -f "$T/patterns" "$PROXY_LOG.bytes"; }
# comes_through SOURCE KIND OPTIONS: a clone of its own, whole, of which every request came by tunnels of this
# kind.
comes_through() {
	say "$2: ${3%%,*}"
	server_mark
	mount_clonefs "$1" "$T/mnt" "cacert=$T/cert.pem,user_file=$T/secrets/user_file,\
header_file=$T/secrets/header_file,$3"
	wait_hydrated
	assert_same_file "$(image_of)" "$T/www/disk.raw"
	umount_clonefs
	rm -r "$(state_dir_of)"
	wait_for 60 all_came "$2" "$(stat -c %s "$T/www/disk.raw")"
	(($(server_count '.headers.authorization != null and .headers["x-api-key"] != null') > 0)) ||
		fail "the server was not told the secrets"
	assert_eq "$(tunnels ".kind != \"$2\"")" 0 "tunnels of another kind"
}
# all_came KIND BYTES: tunnels, which are in the log when they have ended, brought so much, over as many
# connections as the server has seen.
all_came() {
	(($(jq -s 'map(.down) | add // 0' "$PROXY_LOG") >= $2)) &&
		(($(tunnels ".kind == \"$1\" and .down > 0") >= $(connections_of_server)))
}
connections_of_server() { server_events start | jq -s 'map(.conn) | unique | length'; }
# is_denied PART OPTIONS
is_denied() {
	mount_refused 1 "$1" "$URL/disk.raw" "$T/mnt" "cacert=$T/cert.pem,user_file=$T/secrets/user_file,timeout=4s,$2"
}

start_range_server --tls "$T/cert.pem" "$T/key.pem" --user "name:$(s origin)"
TLS_PORT=${URL##*:}

say "CONNECT and SOCKS5 without a login, TLS behind them"
for scheme in http socks5 socks5h; do
	start_proxy
	comes_through "$URL/disk.raw?$(s query)" "$([[ $scheme = http ]] && echo connect || echo socks5)" \
		"proxy=$scheme://$PROXY"
	! proxy_saw_secrets || fail "the proxy was shown secrets of the server"
	assert_eq "$(tunnels '.port != '"$TLS_PORT"' or .host != "127.0.0.1"')" 0 "tunnels to elsewhere"
done

say "with a login"
for scheme in http socks5h; do
	start_proxy --login me:sesam
	if [[ $scheme = http ]]; then denied=407; else denied=''; fi
	is_denied "$denied" "proxy=$scheme://$PROXY"
	is_denied "$denied" "proxy=$scheme://me:falsch@$PROXY"
	assert_eq "$(tunnels '.refused | not')" 0 "tunnels without a login"
	comes_through "$URL/disk.raw" "$([[ $scheme = http ]] && echo connect || echo socks5)" \
		"proxy=$scheme://me:sesam@$PROXY"
	! proxy_saw_secrets || fail "the proxy was shown secrets of the server"
done

say "names are the proxy's to look up, but with socks5"
start_proxy
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=origin \
	-addext subjectAltName=DNS:origin.test -keyout "$T/key.pem" -out "$T/cert.pem" 2>/dev/null
start_range_server --tls "$T/cert.pem" "$T/key.pem" --user "name:$(s origin)"
NAMED=https://origin.test:${URL##*:}
for scheme in http socks5h; do
	start_proxy
	mount_clonefs "$NAMED/disk.raw" "$T/mnt" "no_hydration,cacert=$T/cert.pem,\
user_file=$T/secrets/user_file,proxy=$scheme://$PROXY"
	reads_at 1048576 || fail "not readable by a name that only the proxy knows"
	umount_clonefs
	rm -r "$(state_dir_of)"
	proxy_has_seen() { (($(tunnels '.host == "origin.test"') > 0)); }
	wait_for 60 proxy_has_seen
	assert_eq "$(tunnels '.host != "origin.test"')" 0 "tunnels to something else than the name"
done
mount_refused 1 'origin.test' "$NAMED/disk.raw" "$T/mnt" \
	"cacert=$T/cert.pem,timeout=2s,user_file=$T/secrets/user_file,proxy=socks5://$PROXY"

say "the search finds what is there: without TLS a tunnel shows everything"
start_range_server --user "name:$(s origin)"
start_proxy
comes_through "$URL/disk.raw" socks5 "proxy=socks5h://$PROXY"
wait_for 60 proxy_saw_secrets

say "a proxy that is gone, and one that is not wanted"
stop_process "$PROXY_PID"
mount_refused 1 '' "$URL/disk.raw" "$T/mnt" "timeout=2s,user_file=$T/secrets/user_file,proxy=socks5h://$PROXY"
https_proxy=http://$PROXY http_proxy=http://$PROXY mount_clonefs "$URL/disk.raw" "$T/mnt" \
	"user_file=$T/secrets/user_file,proxy="
umount_clonefs
