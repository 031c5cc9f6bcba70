#!/usr/bin/env bash
# A network that swallows everything, as when a plug is pulled: no refusal, no reset. Who waits goes on soon after
# it is back, long before the attempts that hang are given up (after 10 s), wherever the outage met him; and
# meanwhile the source is asked about once a second.
. "$(dirname "$0")/lib.sh"

require_clonefs
own_network
far_servers
make_image "$T/www/disk.raw" 16M 1
# Nobody's disk is waited for.
at_exit umount -l "$T/state"
mount -t tmpfs tmpfs "$T/state"
watch_questions "$T/questions"
start_range_server --bind 0.0.0.0
PORT=$(port_of "$URL")

# How long the plug is out: attempts that began with it are given up 6.8 s after it is in again.
OUTAGE_MS=${OUTAGE_MS:-3200}
# The promise is 2 s. Who is late has two more chances, since the machine may be busy.
LATE_MS=${LATE_MS:-4000}
ROUNDS=3
# When questions are counted, before the plug is in again: everybody has heard the silence by then.
LAST_MS=2200

# NAME KIND READERS OPTIONS; each has an address of its own.
CASES='
reader      readers 1 timeout=30s
eight       readers 8 timeout=10m,max_connections=4
stream      stream  1 timeout=10m
background  flow    0 timeout=10m,on_source_error=wait
unreachable flow    0 timeout=2s,on_source_error=wait
'
declare -A KIND READERS OPTIONS ADDRESS PIDS SETTLED
names=()
while read -r name kind readers options; do
	[[ -n $name ]] || continue
	names+=("$name")
	KIND[$name]=$kind READERS[$name]=$readers OPTIONS[$name]=$options ADDRESS[$name]=203.0.113.${#names[@]}
done <<<"$CASES"
URL=http://203.0.113.254:$PORT

now_ms() { date +%s%3N; }
# questions NAME SINCE: that its daemon has sent from then until the plug was in again.
questions() {
	awk -v address="${ADDRESS[$1]}" -v since="$2" -v ended="$ENDED" \
		'$2 == address && $1 >= since && $1 < ended' "$T/questions" | wc -l
}
# position NAME: of its bytes.
position() {
	if [[ ${KIND[$1]} = stream ]]; then
		stat -c %s "$T/read-$1"
	else
		status_field bytes_from_source "$T/$1"
	fi
}
has_moved() { (($(position "$1") > $2)); }

# read_at NAME OFFSET: in the background, and notes when it was answered.
read_at() {
	{
		reads_at "$2" "$T/$1" || fail "$1: no or wrong bytes at $2"
		now_ms >>"$T/answered-$1"
	} &
	PIDS[$1]+=" $!"
}
# watch_flow NAME: in the background, notes when more than a page has come.
watch_flow() {
	local from
	from=$(position "$1")
	{
		wait_for 60 has_moved "$1" $((from + 4096))
		now_ms >>"$T/answered-$1"
	} &
	PIDS[$1]+=" $!"
}
# wait_all NAME: for what it has in the background.
wait_all() {
	local pid
	for pid in ${PIDS[$1]}; do
		wait "$pid" || fail "$1: who waited got something wrong, or nothing"
	done
	PIDS[$1]=
}

# rate BYTES: a second, that the server sends on each connection; 0: as many as it can.
rate() { server_control "{\"rate\":$1}" >/dev/null; }

# ready NAME...: mounted, and at work, until the outage may come.
ready() {
	local name i
	rate 0
	for name; do
		PIDS[$name]=''
		mount_clonefs "http://${ADDRESS[$name]}:$PORT/disk.raw" "$T/$name" "proxy=,no_hydration,${OPTIONS[$name]}"
	done
	# Slow enough for several connections at once: requests shall hang in connections that are there.
	rate 262144
	for name; do
		for ((i = 1; i <= READERS[$name]; i++)); do
			[[ ${KIND[$name]} != readers ]] || read_at "$name" $(((i << 20) + 524288))
		done
		wait_all "$name"
	done
	# And bodies in the middle, of which none ends before the outage.
	rate 65536
	for name; do
		start_flow "$name"
	done
	for name; do
		[[ ${KIND[$name]} = readers ]] || wait_for 60 has_moved "$name" 131072
	done
}

start_flow() {
	case ${KIND[$1]} in
	stream)
		: >"$T/read-$1"
		dd if="$(image_of "$T/$1")" iflag=direct of="$T/read-$1" bs=64K status=none &
		DD=$!
		;;
	flow) "$CLONECTL" resume "$T/$1" ;;
	esac
}

# meet NAME: the outage has come.
meet() {
	local i
	: >"$T/answered-$1"
	for ((i = 1; i <= READERS[$1]; i++)); do
		[[ ${KIND[$1]} != readers ]] || read_at "$1" $((i << 20))
	done
	if [[ $1 = unreachable ]]; then
		wait_for 60 status_is source_state unreachable "$T/$1"
		"$CLONECTL" set "$T/$1" timeout=10m >"$T/logs/set"
		SETTLED[$1]=$(now_ms)
	fi
}

# leave NAME: it is over.
leave() {
	case ${KIND[$1]} in
	stream)
		wait "$DD" || fail "the stream broke"
		assert_same_file "$T/read-$1" "$T/www/disk.raw"
		;;
	flow)
		wait_hydrated "$T/$1"
		assert_same_file "$(image_of "$T/$1")" "$T/www/disk.raw"
		;;
	esac
	umount_clonefs "$T/$1"
	rm -r "$(state_dir_of "$T/$1")"
}

# outage NAME...: all at once. Sets LATE, and FIGURES of all.
outage() {
	local name began rest
	LATE=() FIGURES=''
	ready "$@"
	unplug
	began=$(now_ms)
	for name; do
		SETTLED[$name]=$began
		meet "$name"
	done
	rest=$((began + OUTAGE_MS - $(now_ms)))
	((rest <= 0)) || sleep "$((rest / 1000)).$(printf %03d $((rest % 1000)))"
	for name; do
		[[ ${KIND[$name]} = readers ]] || watch_flow "$name"
	done
	ENDED=$(now_ms)
	plug
	rate 0
	for name; do
		judge "$name"
	done
	for name; do
		leave "$name"
	done
}

# judge NAME
judge() {
	local took asked during=$((ENDED - SETTLED[$1]))
	wait_all "$1"
	took=$(($(sort -n "$T/answered-$1" | tail -n 1) - ENDED))
	((during < LAST_MS)) || during=$LAST_MS
	asked=$(questions "$1" $((ENDED - during)))
	say "$1: $took ms after the return; $asked questions in the last $during ms of the outage"
	((asked <= during / 1000 + 2)) || fail "$1: more than one question a second: $asked in $during ms"
	((took < LATE_MS)) || LATE+=("$1")
	FIGURES+=" $1 $took"
}

LATE=("${names[@]}")
for ((round = 1; round <= ROUNDS && ${#LATE[@]}; round++)); do
	outage "${LATE[@]}"
	say "round $round, after an outage of $OUTAGE_MS ms, ms after the return:$FIGURES"
done
((${#LATE[@]} == 0)) || fail "each time later than $LATE_MS ms after the return: ${LATE[*]}"
