#!/usr/bin/env bash
# How a server is found and trusted: bad certificates, IPv6 only, hosts with a dead address. In a network of
# its own, with its own hosts.
. "$(dirname "$0")/lib.sh"

require_clonefs
own_network
make_image "$T/www/disk.raw" 2M 1

# all_right: hydrated, and every byte is right; the clone is removed.
all_right() {
	"$CLONECTL" resume "$T/mnt"
	wait_hydrated
	assert_same_file "$(image_of)" "$T/www/disk.raw"
	umount_clonefs
	rm -r "$(state_dir_of)"
}

# certificate NAME ISSUER DAYS SUBJECT-ALTERNATIVE: $T/NAME.pem and its key, issued by the CA ISSUER.
authority() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
		-addext basicConstraints=critical,CA:TRUE -keyout "$T/$1.key" -out "$T/$1.pem" 2>/dev/null
}
certificate() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" \
		-keyout "$T/$1.key" -out "$T/$1.csr" 2>/dev/null
	openssl x509 -req -in "$T/$1.csr" -CA "$T/$2.pem" -CAkey "$T/$2.key" -CAcreateserial \
		-days "$3" -extfile <(printf 'subjectAltName=%s' "$4") -out "$T/$1.pem" 2>/dev/null
}
# serve NAME [OPTIONS]: with its certificate.
serve() {
	local name=$1
	shift
	start_range_server --tls "$T/$name.pem" "$T/$name.key" "$@"
}

say "certificates"
need_program openssl openssl
authority known
authority unknown
certificate good known 2 IP:127.0.0.1
certificate expired known -1 IP:127.0.0.1
certificate other known 2 DNS:elsewhere.test
certificate stranger unknown 2 IP:127.0.0.1
serve good
port=$(port_of "$URL")
mount_clonefs "$URL/disk.raw" "$T/mnt" "no_hydration,timeout=1s,cacert=$T/known.pem"
place=131072
for bad in expired other stranger; do
	stop_server
	serve "$bad" --port "$port"
	fails_at "$place"
	"$CLONECTL" resume "$T/mnt"
	wait_for 60 reason_has "certificate is not accepted"
	say "$bad: $(status_field reason)"
	reads_at 0 || fail "what was there is not readable"
	assert_eq "$(status_field source_state)" unreachable "source_state"
	mount_refused 1 "certificate is not accepted" "$URL/disk.raw" "$T/new" \
		"timeout=20s,cacert=$T/known.pem"
	assert_eq "$(server_count)" 0 "requests over a connection that is not trusted"
	"$CLONECTL" pause "$T/mnt"
	place=$((place + 131072))
done
stop_server
serve good --port "$port"
wait_for 60 reads_at 131072
all_right

say "IPv6 only"
start_range_server --ipv6
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration
reads_at 131072 || fail "not readable over IPv6"
umount_clonefs
rm -r "$(state_dir_of)"
hosts '::1 six.test'
mount_clonefs "http://six.test:$(port_of "$URL")/disk.raw" "$T/mnt" no_hydration
reads_at 131072 || fail "not readable over IPv6 by name"
all_right

say "one address is dead, the other lives"
start_range_server --bind 127.0.0.1
port=$(port_of "$URL")
# Nobody listens at 127.0.0.2; what arrives at 127.0.0.3 is thrown away by a full backlog.
python3 - "$port" <<'END' &
import socket, sys, time
full = socket.socket()
full.bind(('127.0.0.3', int(sys.argv[1])))
full.listen(0)
kept = []
for _ in range(4):
    sock = socket.socket()
    sock.setblocking(False)
    sock.connect_ex(('127.0.0.3', int(sys.argv[1])))
    kept.append(sock)
time.sleep(600)
END
at_exit stop_process $!
is_full() {
	! timeout 1 "$BASH" -c ": </dev/tcp/127.0.0.3/$port" 2>/dev/null
}
wait_for 60 is_full
for both in '127.0.0.2 127.0.0.1' '127.0.0.1 127.0.0.2' '127.0.0.3 127.0.0.1' \
	'127.0.0.1 127.0.0.3' '::1 127.0.0.1'; do
	hosts "${both% *} both.test" "${both#* } both.test"
	began=$SECONDS
	mount_clonefs "http://both.test:$port/disk.raw" "$T/mnt" no_hydration
	reads_at 131072 || fail "not readable at $both"
	say "$both: $((SECONDS - began)) s"
	all_right
done
