#!/usr/bin/env bash
# The benchmark works: its server serves ranges and counts, its FUSE file and its meter do what they
# say, and a run of a cheap row ends with a table and figures. What the figures are does not matter.
. "$(dirname "$0")/lib.sh"

# Nobody is always first, last, or in between.
PYTHONPATH=$TOP_DIR/tests/bench/measure python3 -B - <<-END || fail "contenders do not take turns"
	from collections import Counter
	from job import in_turn
	for names in ("ab", "abc", "abcd"):
	    rounds = [in_turn(list(names), number) for number in range(2 * len(names))]
	    places = Counter((name, place) for order in rounds for place, name in enumerate(order))
	    assert set(places.values()) == {2} and len(places) == len(names) ** 2, places

	from jobs.turns import InTurns
	class Turns(InTurns):
	    orders = []
	    def paths(self):
	        return {name: "/" + name for name in "abc"}
	    def daemons(self):
	        return {}
	    def read_in_turn(self, paths, number):
	        self.orders.append(paths)
	        return [(number + ord(path[1]), 2) for path in paths]
	job = Turns(None)
	found = [[measure(number) for _, measure in job.contenders()] for number in range(2)]
	assert found == [[{"speed": (number + ord(name)) / 2} for name in "abc"] for number in range(2)], found
	for order in job.orders:
	    assert len(order) == 3 * Turns.turns and len(job.orders) == 2, job.orders
	    first = Counter(order[::3])
	    assert set(first.values()) == {Turns.turns // 3}, first
END

require_clonefs
need_program curl curl
need_program jq jq
BENCH=$CLONEFS_BUILD/tests/bench

# A pipe that nobody writes to: the server ends when its standard input does.
mkfifo "$T/stdin"
exec 9<>"$T/stdin"

# start NAME PROGRAM [ARGUMENT...]: waits for its first line, in $T/logs/NAME.
start() {
	local log=$T/logs/$1
	: >"$log"
	"$BENCH/$2" "${@:3}" <&9 >>"$log" 2>>"$log-errors" &
	at_exit stop_process $!
	wait_for 60 test -s "$log"
}

start server range_server/range_server -s 66 -t 1
url=http://127.0.0.1:$(cut -d ' ' -f 2 "$T/logs/server")
ask() {
	curl -gfsS --noproxy '*' --max-time 60 "$@"
}

# The image repeats after 64 MiB, less some pages: the whole has to agree with its parts there, too.
ask -o "$T/whole" "$url/disk.raw"
assert_eq "$(stat -c %s "$T/whole")" $((66 << 20)) "size of the image"
for range in 0-0 5-70000 67000000-67200000 69206006-69206015; do
	ask -r "$range" -o "$T/part" "$url/disk.raw"
	cmp -n $((${range#*-} - ${range%-*} + 1)) -i "${range%-*}:0" "$T/whole" "$T/part" >&2 ||
		fail "range $range differs"
done
assert_eq "$(curl -gsS --noproxy '*' -o "$T/part" -w '%{http_code}' -r 69206016- "$url/disk.raw")" \
	416 "status of a range behind the end"
assert_eq "$(ask "$url/stats" | jq -c '[.requests, .bytes]')" "[6,$(((66 << 20) + 1 + 69996 + 200001 + 10))]" \
	"requests and bytes the server counted"

found=$("$BENCH/first_byte" -n 3 "${url##*:}")
jq -e '.requests == 3 and .mean_us >= 1000' <<<"$found" >/dev/null ||
	fail "3 regions, 1 ms to the first byte of each: $found"

# Paced: 8 MiB at 16 MiB/s cannot come in less than half a second, whatever the machine does.
start slow range_server/range_server -s 8 -t 0 -l 16777216
seconds=$(ask -o "$T/part" -w '%{time_total}' \
	"http://127.0.0.1:$(cut -d ' ' -f 2 "$T/logs/slow")/disk.raw")
jq -en --argjson seconds "$seconds" '$seconds > 0.45' >/dev/null ||
	fail "8 MiB came in $seconds s over a link of 16 MiB/s"
assert_same_range "$T/whole" "$T/part" 0 $((8 << 20))

# A connection's limit: of 2 MiB at 8 MiB/s all but 64 KiB have to wait, also on one that was idle before.
start limited range_server/range_server -s 8 -t 0 -r 8388608
python3 - "$(cut -d ' ' -f 2 "$T/logs/limited")" <<-END || fail "a connection is faster than its limit"
	import http.client, sys, time
	connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
	for pause in (0, 0.3, 0):
	    time.sleep(pause)
	    start = time.monotonic()
	    connection.request("GET", "/disk.raw", headers={"Range": "bytes=0-%d" % ((2 << 20) - 1)})
	    assert len(connection.getresponse().read()) == 2 << 20
	    assert time.monotonic() - start > (2 - 1 / 16) / 8 - 0.001, time.monotonic() - start
END

: >"$T/file"
start file minimal_fuse "$T/whole" "$T/file"
at_exit unmount_if_mounted "$T/file"
assert_eq "$(cat "$T/logs/file")" ready "what minimal_fuse says"
assert_same_file "$T/whole" "$T/file"
assert_eq "$("$BENCH/random_io" -t 3 -n 50 "$T/file" | jq .operations)" 50 "operations"
assert_eq "$("$BENCH/random_io" -t 3 "$T/file" | jq .operations)" 1056 "operations, one in each region"
unmount_if_mounted "$T/file"

"$TOP_DIR/tests/bench/run" --quick --runs 1 --no-peers --only first-mib --json "$T/result" \
	--markdown "$T/table" >&2
assert_eq "$(jq -c '[.failed, .skipped, [.entries[] | .job, (.figures | map_values(.values | length)),
	(.targets[] | .found > 0)]]' "$T/result")" \
	'[{},{},["first-mib",{"clonefs":5,"1 curl":5},true]]' "what the run found"
assert_contains "$(cat "$T/table")" "| first MiB after mount, ms |" "the table"
! "$TOP_DIR/tests/bench/run" --only no-such-job >"$T/output" 2>&1 || fail "an unknown job was taken"
assert_contains "$(cat "$T/output")" "no such job: no-such-job" "what it says"
