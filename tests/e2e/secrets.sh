#!/usr/bin/env bash
# Secrets of every kind are planted and used, and then looked for: in the arguments of all processes,
# the mount table, status, the state folder with its journal and clone.json, what was said and logged at
# the level debug, and what another origin was sent after a redirect.
. "$(dirname "$0")/lib.sh"

require_clonefs
[[ $CLONEFS_E2E_ISOLATED = yes ]] || skip "needs a pid namespace"
make_image "$T/www/disk.raw" 16M

# The patterns are in a file: the arguments of grep are looked at as well.
PATTERNS=$T/patterns
mkdir "$T/secrets"
for kind in userinfo signature query header user_file netrc proxy; do
	value=geheim-$kind-$(head -c 9 /dev/urandom | base64 | tr +/ xy)
	printf %s "$value" >"$T/secrets/$kind"
	printf '%s\n' "$value" >>"$PATTERNS"
	# As it goes over the wire; the end may differ with what follows.
	printf 'name:%s' "$value" | base64 -w 0 | cut -c 1-28 >>"$PATTERNS"
done
assert_eq "$(wc -l <"$PATTERNS")" 14 "patterns"
s() {
	cat "$T/secrets/$1"
}
printf 'name:%s\n' "$(s user_file)" >"$T/secrets/user_file.txt"
printf 'X-Api-Key: %s\n' "$(s header)" >"$T/secrets/header_file.txt"
printf 'default login name password %s\n' "$(s netrc)" >"$T/secrets/netrc.txt"

# is_clean WHAT < text
is_clean() {
	! grep -a -F -f "$PATTERNS" >"$T/secrets/found" ||
		fail "a secret shows in $1: $(head -c 400 "$T/secrets/found")"
}

# everything_is_clean: while it is mounted or not.
everything_is_clean() {
	local pid
	for pid in /proc/[0-9]*; do
		{ tr '\0' ' ' <"$pid/cmdline"; } 2>/dev/null || true
	done | is_clean /proc/PID/cmdline
	ps axww | is_clean ps
	cat /proc/self/mounts /proc/self/mountinfo | is_clean "the mount table"
	if "$CLONECTL" status --json "$T/mnt" >"$T/secrets/status" 2>&1; then
		is_clean "status --json" <"$T/secrets/status"
		"$CLONECTL" status "$T/mnt" | is_clean status
		"$CLONECTL" list --json | is_clean list
	fi
	find /run/clonefs "$T/state" | is_clean "names of files"
	find "$T/state" -type f -exec cat {} + | is_clean "the state folder"
	cat "$T"/logs/said* | is_clean "what was said and logged"
	if [[ -n ${OTHER_LOG:-} ]]; then
		is_clean "what another origin was sent" <"$OTHER_LOG"
	fi
}

# mount_watched SOURCE OPTIONS: in the foreground, so that what it logs can be seen.
mount_watched() {
	local options=$2,name=secrets,log_level=debug
	options+=,state_dir=$(state_dir_of)
	mounts=$((mounts + 1))
	"$MOUNT_CLONEFS" -F -v -o "$options" "$1" "$T/mnt" >"$T/logs/said-$mounts" 2>&1 &
	DAEMON=$!
	at_exit unmount_clone_at_exit "$T/mnt"
	wait_for 60 mountpoint -q "$T/mnt"
}
mounts=0

# use_it: reads, hydrates a little, is denied, is answered wrongly, and sees another version.
use_it() {
	local fault
	assert_same_range "$(image_of)" "$T/www/disk.raw" 1000000 100000
	everything_is_clean
	"$CLONECTL" set "$T/mnt" timeout=1s
	for fault in '"status","status":403' '"status","status":500' '"captive_portal"' \
		'"garbage_status_line"' '"etag","value":"\"other\""'; do
		server_control "{\"clear\":true,\"faults\":[{\"fault\":$fault}]}" >/dev/null
		! cat "$(image_of)" >/dev/null 2>&1 || fail "all could be read through the fault $fault"
		everything_is_clean
	done
	server_fault ''
}

unmount_watched() {
	umount "$T/mnt"
	wait "$DAEMON" || fail "the daemon failed"
	everything_is_clean
	rm -rf "$(state_dir_of)"
}

start_range_server
OTHER_URL=$URL
OTHER_LOG=$SERVER_LOG
start_range_server

say "the search finds what is there"
for kind in userinfo proxy; do
	(s $kind | is_clean there) 2>/dev/null && fail "a planted secret is not found"
	(printf 'name:%s' "$(s $kind)" | base64 | is_clean there) 2>/dev/null && fail "nor in base64"
done

say "in the URL and in headers, with a redirect to another origin"
server_control '{"user":"name:'"$(s userinfo)"'"}' >/dev/null
server_control '{"faults":[{"fault":"redirect","location":"'"$OTHER_URL"'/disk.raw?there"}]}' >/dev/null
SIGNED="/disk.raw?X-Amz-Signature=$(s signature)&other=$(s query)"
mount_watched "${URL/:\/\//://name:$(s userinfo)@}$SIGNED" \
	"no_hydration,header_file=$T/secrets/header_file.txt"
assert_same_range "$(image_of)" "$T/www/disk.raw" 0 3000000
everything_is_clean
grep -q '"path":"/disk.raw"' "$OTHER_LOG" || fail "the redirect was not followed"
assert_eq "$(server_count '.headers.authorization != null and .headers["x-api-key"] != null')" \
	"$(server_count)" "requests to the source's own origin with all its secrets"
unmount_watched

say "in the URL and in headers, with a source in trouble"
server_fault ''
mount_watched "${URL/:\/\//://name:$(s userinfo)@}$SIGNED" \
	"no_hydration,header_file=$T/secrets/header_file.txt"
use_it
unmount_watched

say "user_file and proxy"
# shellcheck disable=SC2016 # nginx's variables
NGINX_MORE='location / { proxy_pass http://$http_host$request_uri; proxy_set_header Host $http_host; }'
start_nginx
server_control '{"user":"name:'"$(s user_file)"'"}' >/dev/null
server_mark
mount_watched "$URL/disk.raw" "no_hydration,user_file=$T/secrets/user_file.txt,\
proxy=http://name:$(s proxy)@127.0.0.1:${NGINX_URL##*:}"
use_it
unmount_watched
server_count '.headers["proxy-authorization"] != null' | grep -qv '^0$' || fail "the proxy's login was not used"

say "netrc"
server_control '{"user":"name:'"$(s netrc)"'"}' >/dev/null
mount_watched "$URL/disk.raw" "no_hydration,netrc=$T/secrets/netrc.txt"
use_it
unmount_watched

say "refused mounts"
refused_mount() {
	mounts=$((mounts + 1))
	! "$MOUNT_CLONEFS" -o "name=secrets,state_dir=$(state_dir_of),timeout=1s,$2" "$1" "$T/mnt" \
		>"$T/logs/said-$mounts" 2>&1 || fail "mounted: $2"
	everything_is_clean
}
server_control '{"user":"name:else"}' >/dev/null
refused_mount "${URL/:\/\//://name:$(s userinfo)@}$SIGNED" "header_file=$T/secrets/header_file.txt"
refused_mount "$URL/disk.raw" "user_file=$T/secrets/user_file.txt"
refused_mount "$URL/disk.raw" "user_file=$T/secrets/netrc.txt"
refused_mount "$URL/disk.raw" "header_file=$T/secrets/netrc.txt"
refused_mount "$URL/disk.raw" "proxy=http://name:$(s proxy)@127.0.0.1:1"
refused_mount "$URL/disk.raw" "proxy=ftp://name:$(s proxy)@127.0.0.1:1"
refused_mount "$URL/disk.raw" "proxy=http://name:$(s proxy)@"
refused_mount "http://name:$(s userinfo)@/disk.raw?$(s query)" ''
refused_mount "$URL/di sk?$(s query)" ''

say "a proxy that only tunnels"
refused_mount "https://name:$(s userinfo)@host.invalid$SIGNED" \
	"header_file=$T/secrets/header_file.txt,proxy=${OTHER_URL#http://}"
grep -q '"method":"CONNECT"' "$OTHER_LOG" || fail "the proxy was not asked"
