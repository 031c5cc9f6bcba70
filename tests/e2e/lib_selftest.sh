#!/usr/bin/env bash
# The library of the end-to-end tests itself: servers, logs, images, loop devices, what is undone.
. "$(dirname "$0")/lib.sh"

require_root
make_image "$T/www/disk.raw" 3M 7
make_image "$T/again" 3M 7
assert_same_file "$T/www/disk.raw" "$T/again"
dd if="$T/again" of="$T/part" bs=1 skip=5 count=10 status=none
assert_eq "$(sha256_range "$T/again" 5 10)" "$(sha256_of "$T/part")" "checksum of a range"
assert_same_range "$T/www/disk.raw" "$T/again" 1000 5000

start_range_server --ttfb-ms 1
curl -gfsS -r 100-199 -o "$T/part" "$URL/disk.raw"
curl -gfsS -r 1048576-2097151 -o "$T/part" "$URL/disk.raw"
wait_for 60 server_is_idle
assert_eq "$(server_count)" 2 "requests"
assert_eq "$(server_bytes)" $((100 + 1048576)) "bytes"
assert_eq "$(server_overlaps 199 1000)" 1 "overlapping requests"
assert_eq "$(server_overlaps 200 1000)" 0 "overlapping requests"
server_mark
assert_eq "$(server_count)" 0 "requests after the mark"
server_fault status '"status":503,"count":1'
assert_eq "$(curl -gsS -o /dev/null -w '%{http_code}' "$URL/disk.raw")" 503 "status"
assert_eq "$(server_count '.method == "GET"' '.start == null')" 1 "requests after the mark"
wait_for 60 server_has_seen 1

start_nginx tls
curl -fsS --cacert "$T/cert.pem" -r 5-9 -o "$T/part" "$NGINX_URL/disk.raw"
assert_eq "$(sha256_of "$T/part")" "$(sha256_range "$T/again" 5 5)" "nginx's bytes"
logged() { [[ $(nginx_bytes) = 5 ]]; }
wait_for 60 logged
stop_nginx
start_nginx
curl -fsS -r 5-9 -o "$T/part" "$NGINX_URL/disk.raw"

# A mount somebody uses is asked again; what cannot be unmounted at all is not.
mkdir "$T/used"
mount -t tmpfs used "$T/used"
at_exit unmount_if_mounted "$T/used"
exec {used}>"$T/used/file"
! unmounted "$T/used" || fail "a mount in use is gone"
exec {used}>&-
wait_for 20 unmounted "$T/used"
! mountpoint -q "$T/used" || fail "unmounted says so of a mount that is there"
assert_contains "$( (unmounted "$T/used") 2>&1)" "FAILED: umount $T/used" "what is not mounted"

# A test that fails leaves nothing behind: processes, loop devices, folder.
cat >"$T/failing.sh" <<END
. "$E2E_DIR/lib.sh"
start_range_server
truncate -s 1M "\$T/file"
attach_loop "\$T/file"
[[ \$CLONEFS_E2E_ISOLATED = no ]] || (sleep 300 >"$T/stray" 2>&1 &)
echo "\$T" >"$T/inner"
echo "\$LOOP" >"$T/loop"
false
END
status=0
CLONEFS_E2E_ISOLATED='' "$BASH" "$T/failing.sh" 2>"$T/failing.err" || status=$?
assert_eq "$status" 1 "status of a failing test"
assert_contains "$(cat "$T/failing.err")" '"false" ended with status 1' "what it says"
[[ ! -e $(cat "$T/inner") ]] || fail "the folder of the failed test is still there"
gone() { ! losetup "$(cat "$T/loop")" 2>/dev/null | grep -q "$(cat "$T/inner")"; }
wait_for 60 gone
stray_is_gone() { ! pgrep -fx 'sleep 300' >/dev/null; }
[[ $CLONEFS_E2E_ISOLATED = no ]] || wait_for 60 stray_is_gone

status=0
cat >"$T/skipping.sh" <<END
. "$E2E_DIR/lib.sh"
need_program no-such-program no-such-package
END
"$BASH" "$T/skipping.sh" 2>"$T/skipping.err" || status=$?
assert_eq "$status" 77 "status of a skipping test"
assert_contains "$(cat "$T/skipping.err")" "SKIPPED: needs no-such-program" "what it says"
