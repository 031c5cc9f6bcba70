#!/usr/bin/env bash
# How a server is found and trusted: bad certificates, IPv6 only, hosts with a dead address, names that
# move, name servers that never answer. In a network of its own, with its own hosts and resolv.conf.
. "$(dirname "$0")/lib.sh"

require_clonefs
if [[ -z ${CLONEFS_E2E_NETWORK:-} ]]; then
	unshare --net true 2>/dev/null || skip "needs a network namespace"
	rm -rf "$T"
	CLONEFS_E2E_NETWORK=1 exec unshare --net "$BASH" "$0" "$@"
fi
need_program ip iproute2
ip link set lo up

make_image "$T/www/disk.raw" 2M 1
: >"$T/hosts"
printf 'nameserver 127.0.0.1\noptions timeout:5 attempts:2\n' >"$T/resolv.conf"
mount --bind "$T/hosts" /etc/hosts
mount --bind "$T/resolv.conf" /etc/resolv.conf

# hosts LINE...: what names mean from now on.
hosts() { printf '%s\n' "$@" >"$T/hosts"; }
port_of() { printf '%s' "${1##*:}"; }
# reads_at OFFSET [M]: the right bytes are there.
reads_at() {
	dd if="$(image_of "${2:-}")" iflag=direct,skip_bytes bs=4096 count=1 skip="$1" status=none \
		2>"$T/logs/reads" | cmp -s -n 4096 - <(tail -c +$(($1 + 1)) "$T/www/disk.raw")
}
# fails_at OFFSET: EIO.
fails_at() {
	local status=0
	dd if="$(image_of)" iflag=direct,skip_bytes bs=4096 count=1 skip="$1" of=/dev/null \
		2>"$T/logs/reads" || status=$?
	assert_eq "$status" 1 "a read without a source"
	assert_contains "$(cat "$T/logs/reads")" "Input/output error" "its error"
}
reason_has() { [[ $(status_field reason "${2:-$T/mnt}") = *"$1"* ]]; }
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

say "a name moves"
hosts '127.0.0.1 moves.test'
mount_clonefs "http://moves.test:$port/disk.raw" "$T/mnt" no_hydration,timeout=2s
stop_server
hosts '127.0.0.9 moves.test'
fails_at 131072
start_range_server --bind 127.0.0.9 --port "$port"
wait_for 60 reads_at 131072
stop_server
start_range_server --bind 127.0.0.10 --port "$port"
URL=http://127.0.0.10:$port
hosts '127.0.0.10 moves.test'
wait_for 60 reads_at 393216
all_right

say "a name server that never answers"
python3 -c 'if True:
	import socket, time
	sock = socket.socket(type=socket.SOCK_DGRAM)
	sock.bind(("127.0.0.1", 53))
	time.sleep(600)' &
at_exit stop_process $!
hosts '127.0.0.10 slow.test'
mount_clonefs "http://slow.test:$port/disk.raw" "$T/mnt" no_hydration,timeout=2s
mount_clonefs "http://127.0.0.10:$port/disk.raw" "$T/other" no_hydration
hosts ''
server_control '{"drop_connections":true}' >/dev/null
# A name is kept for a second.
sleep 2
began=$SECONDS
fails_at 131072 &
reader=$!
reads_at 0 || fail "what is there is not readable while a name hangs"
reads_at 131072 "$T/other" || fail "another clone hangs"
status_of >/dev/null
wait "$reader"
say "EIO after $((SECONDS - began)) s"
"$CLONECTL" resume "$T/mnt"
wait_for 60 status_is hydration waiting
say "$(status_field reason)"
began=$SECONDS
umount_clonefs
say "umount took $((SECONDS - began)) s"
mount_refused 1 '' "http://slow.test:$port/disk.raw" "$T/new" timeout=2s
say "an existing clone is mounted all the same"
mount_clonefs "http://slow.test:$port/disk.raw" "$T/mnt" timeout=2s
assert_eq "$(status_field source_state)" unreachable "source_state"
reason_has "the source is unreachable: " || fail "the reason is: $(status_field reason)"
say "$(status_field reason)"
hosts '127.0.0.10 slow.test'
wait_hydrated
assert_same_file "$(image_of)" "$T/www/disk.raw"
umount_clonefs
umount_clonefs "$T/other"
