#!/usr/bin/env bash
# The metadata of a half-hydrated clone is good for cmcheck.py and for Linux's own dm-clone, which
# sees exactly our set; what the kernel makes of it is read back, and a mount goes on from there.
. "$(dirname "$0")/lib.sh"

require_clonefs
CHECK=$TOP_DIR/tests/kernel/check
REGION=65536
SIZE=50000001
SECTORS=$(((SIZE + 511) / 512))
REGIONS=$(((SIZE + REGION - 1) / REGION))

"$CHECK" setup >"$T/logs/setup" 2>&1 || skip "no kernel with dm-clone: $(tail -n 1 "$T/logs/setup")"

# The set of hydrated regions, in the words of tests/kernel/check.
set_of() {
	committed_ranges "$1" | sed 's/ /-/' | paste -sd ' '
}

# with_regions SET RANGE...: the set with these added.
with_regions() {
	tr ' ' '\n' <<<"$*" | awk -F - '{ for (i = $1; i <= $2; i++) print i }' | sort -nu |
		awk 'NR > 1 && $1 != last + 1 { printf "%d-%d ", first, last }
			NR == 1 || $1 != last + 1 { first = $1 } { last = $1 }
			END { printf "%d-%d", first, last }'
}

# kernel_accepts METADATA SET [OPTION...]: and cmcheck.py does, which check runs on both ends.
kernel_accepts() {
	local file=$1 set=$2
	shift 2
	python3 -B "$TOP_DIR/tests/kernel/cmcheck.py" "$file" >"$T/logs/cmcheck" ||
		fail "cmcheck.py finds errors"
	"$CHECK" "$file" --target-size "$SECTORS" --region-size $((REGION / 512)) --expect "$set" \
		--json "$T/logs/check" "$@" || fail "the kernel does not accept $file as \"$set\""
}

make_image "$T/www/disk.raw" "$SIZE"
cp "$T/www/disk.raw" "$T/expected"
start_range_server
# As the kernel is opened here, and what its settings begin with.
mount_clonefs "$URL/disk.raw" "$T/mnt" \
	no_hydration,no_discard_passdown,hydration_threshold=1,hydration_batch_size=1 2>"$T/logs/mount"
for region in 400 3 200 17 $((REGIONS - 1)) 64; do
	dd if="$(image_of)" iflag=direct bs=512 count=1 skip=$((region * REGION / 512)) of=/dev/null \
		status=none
done
dd if=/dev/zero of="$(image_of)" bs=$REGION seek=300 count=8 conv=notrunc,fsync status=none
dd if=/dev/zero of="$T/expected" bs=$REGION seek=300 count=8 conv=notrunc status=none
wait_for 60 status_is regions_hydrating 0
line=$("$CLONECTL" dmsetup "$T/mnt")

say "half hydrated"
META=$(metadata_of)
cp "$META" "$T/half"
ours=$(set_of "$META")
assert_eq "$ours" "$(with_regions "$ours" 3-3 17-17 64-64 200-200 300-307 400-400 \
	$((REGIONS - 1))-$((REGIONS - 1)))" "the set on disk"
kernel_accepts "$T/half" "$ours" --continue "write:100-109 poke:20 commit reload write:305-310 commit" \
	--out "$T/continued"
assert_eq "$line" "$(jq -r .status "$T/logs/check")" "our status line, and the kernel's"

say "what the kernel made of it"
"$CLONECTL" check "$T/continued"
assert_eq "$(set_of "$T/continued")" "$(with_regions "$ours" 20-20 100-109 305-310)" \
	"the kernel's set as we read it"

say "a mount goes on from there"
umount_clonefs
# The kernel's own data went elsewhere: what it marked is what the destination has there.
for region in {100..109} 20 308 309 310; do
	head -c $REGION /dev/zero | tr '\0' "\\$(printf '%03o' $((region % 256)))" >"$T/region"
	for file in "$(state_dir_of)/disk.img" "$T/expected"; do
		dd if="$T/region" of="$file" bs=$REGION seek="$region" conv=notrunc status=none
	done
done
cp "$T/continued" "$META"
server_mark
mount_clonefs "$URL/disk.raw" "$T/mnt" no_hydration 2>"$T/logs/mount"
for region in 100 105 109 20 300 307 310; do
	assert_same_range "$(image_of)" "$T/expected" $((region * REGION)) $REGION
done
assert_eq "$(server_overlaps $((100 * REGION)) $((110 * REGION - 1)))" 0 \
	"requests for what the kernel marked"
"$CLONECTL" resume "$T/mnt"
wait_hydrated
assert_same_file "$(image_of)" "$T/expected"
umount_clonefs
assert_same_file "$(state_dir_of)/disk.img" "$T/expected"
kernel_accepts "$META" all
