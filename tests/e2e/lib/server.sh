# shellcheck shell=bash
# The range server with its control and log, and nginx. Both serve $T/www unless told otherwise.
#
# The log queries look at what came after the last server_mark only, and take any number of jq
# conditions on an event (tests/support/range_server/README.md), which all have to hold:
#     server_count '.method == "HEAD"'

SERVER_MARK=0

# start_range_server [options]: sets URL (without a final /), SERVER_PID, SERVER_LOG.
start_range_server() {
	local number=$((${server_number:-0} + 1)) scheme=http host=127.0.0.1 inside=()
	server_number=$number
	need_program python3 python3
	need_program jq jq
	need_program curl curl
	SERVER_LOG=$T/logs/requests-$number
	: >"$SERVER_LOG"
	# Set by far_servers.
	[[ -z ${SERVER_NETWORK:-} ]] || inside=(nsenter --net="/proc/$SERVER_NETWORK/ns/net")
	"${inside[@]}" python3 "$TOP_DIR/tests/support/range_server" --root "$T/www" --with-parent \
		--port-file "$T/port-$number" --log "$SERVER_LOG" "$@" \
		>"$T/logs/range_server-$number" 2>&1 &
	SERVER_PID=$!
	at_exit stop_process "$SERVER_PID"
	wait_for 60 server_is_up "$T/port-$number"
	[[ " $* " != *" --tls "* ]] || scheme=https
	[[ " $* " != *" --ipv6 "* ]] || host='[::1]'
	URL=$scheme://$host:$(cat "$T/port-$number")
	SERVER_MARK=0
}

server_is_up() {
	[[ ! -s $1 ]] || return 0
	! process_is_gone "$SERVER_PID" || fail "the range server ended"
	return 1
}

# stop_server: no more answers, and nobody listens.
stop_server() {
	stop_process "$SERVER_PID"
}

# server_control JSON: prints the state after it.
server_control() {
	curl -gfsSk --noproxy '*' --max-time 60 -d "$1" "$URL/_control"
}

# server_fault NAME [PARAMETERS as JSON members]: this fault only; server_fault "" switches all off.
server_fault() {
	local spec='[]'
	[[ -z $1 ]] || spec="[{\"fault\":\"$1\"${2:+,$2}}]"
	server_control "{\"clear\":true,\"faults\":$spec}" >/dev/null
}

# server_state FIELD
server_state() {
	server_control '{}' | jq -r --arg field "$1" '.[$field]'
}

# server_mark: the queries below forget what came until now.
server_mark() {
	SERVER_MARK=$(server_state requests)
}

# server_events start|end [CONDITION...]: the events, one JSON object a line.
server_events() {
	local event=$1 condition filter
	shift
	filter=".event == \"$event\" and .id > $SERVER_MARK"
	for condition in "$@"; do
		filter+=" and ($condition)"
	done
	jq -c "select($filter)" "$SERVER_LOG"
}

# server_count [CONDITION...]: requests that came.
server_count() {
	server_events start "$@" | wc -l
}

# server_bytes [CONDITION...]: body bytes sent; wait for server_is_idle before.
server_bytes() {
	server_events end "$@" | jq -s 'map(.sent) | add // 0'
}

# server_overlaps FIRST LAST: how many requests touched these bytes (both included).
server_overlaps() {
	server_count ".start != null and .start <= $2 and (.end == null or .end >= $1)"
}

server_is_idle() {
	[[ $(server_state in_flight) = 0 ]]
}

# server_has_seen COUNT [CONDITION...]
server_has_seen() {
	local wanted=$1
	shift
	(($(server_count "$@") >= wanted))
}

# make_certificate: a self-signed one for 127.0.0.1 and localhost, $T/cert.pem and $T/key.pem.
make_certificate() {
	need_program openssl openssl
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
		-subj /CN=localhost -addext 'subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost' \
		-keyout "$T/key.pem" -out "$T/cert.pem" 2>/dev/null
}

# start_nginx [tls | proxy URL]: serves files, or over TLS what the server at URL says. Sets NGINX_URL,
# NGINX_PID, NGINX_LOG (one JSON object per request). NGINX_MORE: further directives for its server,
# NGINX_ABOVE: for what is above that (http).
start_nginx() {
	local program attempt port listen='' scheme=http
	program=$(nginx_program) || skip "needs nginx (Debian package nginx-light)"
	if [[ ${1:-} = tls || ${1:-} = proxy ]]; then
		make_certificate
		scheme=https
	fi
	NGINX_LOG=$T/logs/nginx-access
	mkdir -p "$T/nginx"
	# The folder has to be readable for nginx's workers.
	chmod 0711 "$T"
	for ((attempt = 0; attempt < 20; attempt++)); do
		port=$(free_port)
		listen="listen 127.0.0.1:$port;"
		[[ $scheme = http ]] || listen="listen 127.0.0.1:$port ssl http2;
		        ssl_certificate $T/cert.pem; ssl_certificate_key $T/key.pem;"
		write_nginx_configuration "$listen" "${2:-}" >"$T/nginx/nginx.conf"
		"$program" -p "$T/nginx" -e "$T/logs/nginx-error" -c "$T/nginx/nginx.conf" \
			2>>"$T/logs/nginx-stderr" &
		NGINX_PID=$!
		if nginx_listens; then
			at_exit stop_process "$NGINX_PID"
			# shellcheck disable=SC2034 # for the tests
			NGINX_URL=$scheme://127.0.0.1:$port
			return
		fi
	done
	fail "nginx does not start"
}

# nginx writes its pid file after it has bound its port; false when it ends instead.
nginx_listens() {
	local end=$((SECONDS + 60))
	while ((SECONDS < end)); do
		[[ $(cat "$T/nginx/pid" 2>/dev/null) != "$NGINX_PID" ]] || return 0
		! process_is_gone "$NGINX_PID" || return 1
		nap 0.05
	done
	return 1
}

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# write_nginx_configuration LISTEN-DIRECTIVES [URL of the server behind it]
write_nginx_configuration() {
	local content="root $T/www;"
	[[ -z $2 ]] || content="location / {
		            proxy_pass $2;
		            proxy_http_version 1.1;
		            proxy_set_header Connection '';
		            proxy_buffering off;
		        }"
	cat <<-END
		daemon off;
		worker_processes 1;
		pid $T/nginx/pid;
		error_log $T/logs/nginx-error;
		events { worker_connections 512; }
		http {
		    log_format json escape=json '{"time":\$msec,"conn":\$connection,"method":"\$request_method",'
		        '"path":"\$uri","range":"\$http_range","status":\$status,"sent":\$body_bytes_sent,'
		        '"authorization":"\$http_authorization","proxy_authorization":"\$http_proxy_authorization"}';
		    access_log $T/logs/nginx-access json;
		    client_body_temp_path $T/nginx/body;
		    proxy_temp_path $T/nginx/proxy;
		    fastcgi_temp_path $T/nginx/fastcgi;
		    uwsgi_temp_path $T/nginx/uwsgi;
		    scgi_temp_path $T/nginx/scgi;
		    sendfile on;
		    tcp_nopush on;
		    keepalive_requests 100000;
		    ${NGINX_ABOVE:-}
		    server {
		        $1
		        $content
		        ${NGINX_MORE:-}
		    }
		}
	END
}

stop_nginx() {
	stop_process "$NGINX_PID"
}

# nginx_bytes: body bytes of all requests that ended.
nginx_bytes() {
	jq -s 'map(.sent) | add // 0' "$NGINX_LOG"
}
