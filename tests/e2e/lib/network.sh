# shellcheck shell=bash
# A network of the test's own, with its own hosts and resolv.conf.

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
