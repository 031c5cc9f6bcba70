#!/usr/bin/env bash
# What cannot become a clone is refused with one sentence and exit status 1 (wrong usage: 2) before
# anything is mounted or created.
. "$(dirname "$0")/lib.sh"

require_clonefs
make_image "$T/www/disk.raw" 1M
: >"$T/www/empty.raw"
start_range_server
NEW=$T/state/mnt

# refused STATUS PART SOURCE [OPTIONS]
refused() {
	mount_refused "$1" "$2" "$3" "$T/mnt" "${4:-}"
	[[ ! -e $NEW ]] || fail "$NEW exists after: $2"
	assert_nothing_mounted
	[[ -z $(find /run/clonefs -name '*.sock' 2>/dev/null) || $CLONEFS_E2E_ISOLATED = no ]] ||
		fail "a socket is left after: $2"
}

# refused_with FAULT PARAMETERS PART [OPTIONS]
refused_with() {
	server_fault "$1" "$2"
	refused 1 "$3" "$URL/disk.raw" "${4:-}"
	server_fault ""
}

say "sources"
refused 1 404 "$URL/none.raw"
refused 1 empty "$URL/empty.raw"
refused 1 "no-such-host.invalid" "http://no-such-host.invalid/disk.raw"
refused 1 "refused" "http://127.0.0.1:1/disk.raw"
refused 1 "$T/none.raw" "$T/none.raw"
refused 1 "$T/none.raw" "file://$T/none.raw"
refused 1 "$T/www" "$T/www"
refused 1 "ftp" "ftp://127.0.0.1/disk.raw"
refused_with whole_file '' "range"
refused_with unknown_total '' "how large"
refused_with status '"status":403' 403
refused_with status '"status":401' 401
refused_with status '"status":503' 503 timeout=6s
refused_with status '"status":410' 410
refused_with wrong_start '' "another part"
refused_with gzip_encoding '' "encoded"
refused_with multipart '' "several parts"
refused_with captive_portal '' "range"
refused_with redirect '' "redirect"
refused_with no_answer '' "sent nothing" timeout=2s
server_control '{"release":true}' >/dev/null
refused_with reset_before '' "" timeout=2s
refused_with garbage_status_line '' ""

say "certificates"
make_certificate
start_range_server --tls "$T/cert.pem" "$T/key.pem"
refused 1 "certificate" "$URL/disk.raw"
refused 1 "certificate" "https://127.0.0.1:${URL##*:}/disk.raw" "cacert=/etc/hostname"
refused 1 "$T/none.pem" "$URL/disk.raw" "cacert=$T/none.pem"
start_range_server

say "places"
printf data >"$T/data.img"
refused 1 "$T/none/disk.img" "$URL/disk.raw" "dest=$T/none/disk.img"
refused 1 "$T/data.img" "$T/www/disk.raw" "dest=$T/data.img"
refused 1 "$T/www/disk.raw" "$T/www/disk.raw" "dest=$T/www/disk.raw,overwrite_dest"
assert_eq "$(cat "$T/data.img")" data "a file that was refused as a destination"
head -c 1048576 /dev/urandom >"$T/data.meta"
cp "$T/data.meta" "$T/data.copy"
refused 1 "$T/data.meta" "$URL/disk.raw" "metadata=$T/data.meta"
assert_same_file "$T/data.meta" "$T/data.copy"
truncate -s 4096 "$T/small.meta"
refused 1 "$T/small.meta" "$URL/disk.raw" "metadata=$T/small.meta"
# More than 2^31 regions.
if truncate -s 9T "$T/huge.raw" 2>/dev/null; then
	refused 1 "8192" "$T/huge.raw" "region_size=4K"
fi

say "wrong usage"
for option in no_such_option region_size=5K region_size=2K region_size=2G region_size= timeout=x \
	hydration_threshold=-1 hydration_threshold=4294967296 max_connections=0 max_connections=257 \
	on_source_error=maybe mode=999 uid=nobody log_level=loud name=.hidden background_rate=1.5M; do
	refused 2 "${option%%=*}" "$URL/disk.raw" "$option"
done

say "another clone than the one that is there"
mount_clonefs "$URL/disk.raw"
wait_hydrated
umount_clonefs
make_image "$T/www/other.raw" 1M 5
mount_refused 1 "$NEW" "$URL/other.raw" "$T/mnt"
mount_refused 1 "region_size" "$URL/disk.raw" "$T/mnt" region_size=128K
for file in disk.img metadata; do
	mv "$NEW/$file" "$T/away"
	mount_refused 1 "$NEW/$file" "$URL/disk.raw" "$T/mnt"
	mv "$T/away" "$NEW/$file"
done
cp "$NEW/metadata" "$T/away"
dd if=/dev/zero of="$NEW/metadata" bs=4096 count=1 conv=notrunc status=none
mount_refused 1 "$NEW/metadata" "$URL/disk.raw" "$T/mnt"
cp "$T/away" "$NEW/metadata"
truncate -s -1 "$NEW/disk.img"
mount_refused 1 "$NEW/disk.img" "$URL/disk.raw" "$T/mnt"
truncate -s +1 "$NEW/disk.img"
assert_nothing_mounted
mount_clonefs "$URL/disk.raw"
umount_clonefs
