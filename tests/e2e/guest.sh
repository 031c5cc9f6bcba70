#!/usr/bin/env bash
# A Debian guest boots read-write from a cold clone 20 ms away, logs in, writes and powers off while it hydrates;
# hydrated and with the server gone it boots again, finds what it wrote, and its file system is clean.
. "$(dirname "$0")/lib.sh"
. "$E2E_DIR/lib/guest.sh"

require_clonefs
need_program qemu-system-x86_64 qemu-system-x86
make_guest
cp --sparse=always --preserve=timestamps "$GUEST_CACHE/disk.raw" "$T/www/disk.raw"
start_range_server --ttfb-ms 20
FILE=$T/mnt/disk.raw

say "cold boot"
mount_clonefs "$URL/disk.raw" "$T/mnt" background_rate=1M
cat >"$T/first" <<'END'
dd if=/dev/urandom of=/root/random bs=1M count=16 status=none
mkdir /root/copy && cp -a /usr/share/zoneinfo /usr/sbin /root/copy/
rm -r /usr/share/doc
sha256sum /root/random >/root/random.sha256
fstrim /
sync
END
boot_guest "$FILE" "$T/first" "$T/logs/first" >"$T/logs/boot"
say "$(cat "$T/logs/boot")"
say "$(status_field regions_hydrated) of $(status_field regions_total) regions when it had powered off," \
	"$(($(status_field bytes_from_source) >> 20)) MiB from the source"
assert_contains "$(cat "$T/logs/first")" "guest login: " "what the guest said"

say "hydrated to the end"
"$CLONECTL" set "$T/mnt" background_rate=0 >"$T/logs/set"
wait_hydrated
say "$(($(status_field bytes_from_source) >> 20)) MiB of $(($(status_field size) >> 20)) from the source"
stop_server

say "second boot, without the server"
cat >"$T/second" <<'END'
sha256sum -c /root/random.sha256
diff -r /root/copy/sbin /usr/sbin
test ! -e /usr/share/doc
touch /root/second
END
boot_guest "$FILE" "$T/second" "$T/logs/second" >"$T/logs/boot"
say "$(cat "$T/logs/boot")"
umount_clonefs

say "the file system is clean, and no file has changed that nobody changed"
check_filesystem ext4 "$T/state/mnt/disk.img"
mount_device "$T/state/mnt/disk.img" "$T/is" -o loop,ro
mount_device "$GUEST_CACHE/disk.raw" "$T/was" -o loop,ro
[[ -e $T/is/root/second ]] || fail "the second boot has left nothing"
diff -r --no-dereference --exclude=doc "$T/was/usr" "$T/is/usr" >&2 || fail "files below /usr differ"
diff -r --no-dereference "$T/is/root/copy/sbin" "$T/was/usr/sbin" >&2 || fail "the copy differs"
umount "$T/is"
umount "$T/was"
