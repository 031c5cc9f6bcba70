# shellcheck shell=bash
# A network of the test's own, with its own hosts and resolv.conf; and a second one behind a router that can
# swallow everything.

# own_network: begins the test once more in it; call it before anything is set up.
own_network() {
	if [[ -z ${CLONEFS_E2E_NETWORK:-} ]]; then
		unshare --net true 2>/dev/null || skip "needs a network namespace"
		[[ -f /etc/hosts && -f /etc/resolv.conf ]] || skip "needs /etc/hosts and /etc/resolv.conf"
		rm -rf "$T"
		CLONEFS_E2E_NETWORK=1 exec unshare --net "$BASH" "$0"
	fi
	need_program ip iproute2
	ip link set lo up
	: >"$T/hosts"
	printf 'nameserver 127.0.0.1\noptions timeout:5 attempts:2\n' >"$T/resolv.conf"
	mount --bind "$T/hosts" /etc/hosts
	mount --bind "$T/resolv.conf" /etc/resolv.conf
}

# hosts LINE...: what names mean from now on.
hosts() {
	printf '%s\n' "$@" >"$T/hosts"
}

# start_silent_name_server: takes questions and answers none.
start_silent_name_server() {
	python3 - "$T/name-server" <<-'END' &
		import os, socket, sys, time
		sock = socket.socket(type=socket.SOCK_DGRAM)
		sock.bind(("127.0.0.1", 53))
		open(sys.argv[1], "w").close()
		while True:
		    with open(sys.argv[1], "a") as log:
		        log.write(repr(sock.recvfrom(4096)[0]) + "\n")
	END
	at_exit stop_process $!
	wait_for 60 test -e "$T/name-server"
}

port_of() {
	printf '%s' "${1##*:}"
}

# new_network: one more; sets NETWORK, for in_network.
new_network() {
	unshare --net sleep infinity &
	NETWORK=$!
	at_exit stop_process "$NETWORK"
	wait_for 60 is_elsewhere "$NETWORK"
}

is_elsewhere() {
	[[ $(readlink "/proc/$1/ns/net") != $(readlink /proc/self/ns/net) ]]
}

# in_network NETWORK COMMAND...
in_network() {
	nsenter --net="/proc/$1/ns/net" "${@:2}"
}

# far_servers: servers that are started from now on are behind a router, at each address from 203.0.113.1 to
# 203.0.113.254 (start_range_server --bind 0.0.0.0). On the way to them and back TCP repeats nothing before 20 s
# are over, later than clonefs gives up an attempt: who goes on sooner has asked again. Connections are tried at
# intervals that double, whatever the kernel. After own_network.
far_servers() {
	new_network
	ROUTER=$NETWORK
	new_network
	SERVER_NETWORK=$NETWORK
	ip link add near type veth peer name near netns "$ROUTER" 2>"$T/logs/veth" ||
		skip "needs veth devices: $(cat "$T/logs/veth")"
	in_network "$ROUTER" ip link add far type veth peer name far netns "$SERVER_NETWORK"
	ip -batch - <<-END
		address add 192.0.2.2/24 dev near
		link set near up
		route add 203.0.113.0/24 via 192.0.2.1 rto_min 20s
	END
	in_network "$ROUTER" ip -batch - <<-END
		address add 192.0.2.1/24 dev near
		address add 198.51.100.1/24 dev far
		link set near up
		link set far up
		route add 203.0.113.0/24 via 198.51.100.2
	END
	in_network "$SERVER_NETWORK" ip -batch - <<-END
		address add 198.51.100.2/24 dev far
		link set lo up
		link set far up
		route add local 203.0.113.0/24 dev lo
		route add default via 198.51.100.1 rto_min 20s
	END
	[[ ! -w /proc/sys/net/ipv4/tcp_syn_linear_timeouts ]] || echo 0 >/proc/sys/net/ipv4/tcp_syn_linear_timeouts
	plug
}

# plug and unplug: a router that does not forward drops without a word, in both directions.
plug() { set_forwarding 1; }
unplug() { set_forwarding 0; }
set_forwarding() {
	# shellcheck disable=SC2016 # the inner shell's
	in_network "$ROUTER" sh -c 'echo "$1" >/proc/sys/net/ipv4/ip_forward' - "$1" 2>"$T/logs/forwarding" ||
		skip "needs to set ip_forward in a network namespace"
}

# watch_questions FILE: from now on a line "MS ADDRESS" for each connection that is begun and each request
# that is sent from here to a far server, whether it gets through or not; nothing for what TCP repeats.
watch_questions() {
	nsenter --net="/proc/$ROUTER/ns/net" python3 "$E2E_DIR/questions.py" near "$1" &
	at_exit stop_process $!
	wait_for 60 test -e "$1"
}
