#!/usr/bin/env bash
# Performs the suite's scenario with kcat; its steps and the event log are described in go/play/play.go.
#
# kcat can not set a record's timestamp, and its headers are the same for a whole run. So there is an expectation of its
# own, written to $1: rows with "*" for the time and the headers of the run that sent them. It can not create a topic
# either; the command in the arguments after $1 does that.
set -euo pipefail

expected=$1
shift
tail=1000
codecs=(none gzip snappy lz4 zstd)
dir=$(mktemp -d "$INTEROP_WORK/kcat.XXXXXX")
declare -A pids=()

finish() {
	for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
	rm -rf "$dir"
}
trap finish EXIT
trap 'exit 143' TERM INT

say() { printf '%s %s\n' "$(date +%T.%3N)" "$*" >&2; }

# produce CODEC FROM TO: rows [FROM, TO).
produce() {
	local codec=$1 from=$2 to=$3
	local headers="codec=$codec,utf8=é✓,tag=a,tag=b,empty="
	sed -n "$((from + 1)),${to}p;${to}q" "$INTEROP_ROWS" >"$dir/rows"
	awk -F'\t' -v OFS='\t' -v headers="$headers" '{ print "*", $2, $3, headers }' "$dir/rows" >>"$expected"
	# With -Z what is empty is sent as null.
	awk -F'\t' -v OFS='\t' '{ for (i = 2; i <= 3; i++) if ($i == "\\N") $i = ""; print $2, $3 }' "$dir/rows" |
		kcat -b "$INTEROP_BOOTSTRAP" -P -t "$INTEROP_TOPIC" -Z -K '\t' -z "$codec" -X enable.idempotence=true \
			-H "codec=$codec" -H utf8=é✓ -H tag=a -H tag=b -H empty= -X queue.buffering.max.messages=1000000
	printf 'P\t%s\t%d\t%d\n' "$codec" "$from" "$to" >>"$dir/acked"
	say "produced rows $from to $to with $codec"
}

# join MEMBER: starts a member. Its records and what it says of its partitions go to one file, in their order.
join() {
	stdbuf -oL kcat -b "$INTEROP_BOOTSTRAP" -G "$INTEROP_GROUP" -X auto.offset.reset=earliest \
		-X heartbeat.interval.ms=500 -X auto.commit.interval.ms=200 \
		-f "M\\t$1\\t%p\\t%o\\t%T\\t%K\\t%k\\t%S\\t%s\\t%h\\n" "$INTEROP_TOPIC" </dev/null >>"$dir/$1" 2>&1 &
	pids[$1]=$!
}

# leave MEMBER: has it commit, leave the group and end.
leave() {
	local pid=${pids[$1]}
	kill -TERM "$pid"
	wait "$pid" || true
	unset "pids[$1]"
}

# seen FILE…: how many different records are in the files, which hold no gaps.
seen() {
	awk -F'\t' '$1 == "M" && $4 >= next_[$3] { next_[$3] = $4 + 1 } END { for (p in next_) n += next_[p]; print n + 0 }' "$@"
}

# await NUMBER MEMBER…: waits until these members have seen so many.
await() {
	local want=$1 n=0 files=()
	shift
	for member in "$@"; do files+=("$dir/$member"); done
	for _ in $(seq 200); do
		n=$(seen "${files[@]}")
		if ((n >= want)); then
			say "seen $n records"
			return 0
		fi
		for member in "${!pids[@]}"; do
			kill -0 "${pids[$member]}" || { say "member $member ended: $(tail -n 3 "$dir/$member")"; exit 1; }
		done
		sleep 0.2
	done
	say "seen $n records, waited for $want"
	grep -h '^%' "${files[@]}" >&2
	exit 1
}

# events FILE…: the files as event log.
events() {
	awk -F'\t' -v OFS='\t' '
		FNR == 1 { member = FILENAME; sub(".*/", "", member) }
		$1 == "M" { print "M", member, $3, $4, $5, $6 < 0 ? "\\N" : $7, $8 < 0 ? "\\N" : $9, $10 }
		/^% Group .* rebalanced/ {
			owned = ""
			if (/: assigned: /)
				for (n = split($0, part, "["); n > 1; n--) owned = (part[n] + 0) (owned == "" ? "" : "," owned)
			print "J", member, owned
		}' "$@"
}

total=$(wc -l <"$INTEROP_ROWS")
body=$((total - tail))
at() { echo $(($1 * body / ${#codecs[@]})); }
rm -f "$expected"
"$@"

for i in 0 1; do produce "${codecs[i]}" "$(at $i)" "$(at $((i + 1)))"; done
join A
await "$(at 2)" A
join B
for _ in $(seq 100); do
	if grep -qs ': assigned: ' "$dir/B"; then break; fi
	sleep 0.1
done
for i in 2 3; do produce "${codecs[i]}" "$(at $i)" "$(at $((i + 1)))"; done
await "$(at 4)" A B
leave B
produce "${codecs[4]}" "$(at 4)" "$body"
await "$body" A B
leave A
cp "$dir/acked" "$INTEROP_EVENTS"
events "$dir/A" "$dir/B" >>"$INTEROP_EVENTS"
echo S >>"$INTEROP_EVENTS"

rm "$dir/acked"
produce none "$body" "$total"
join A2
await "$total" A B A2
leave A2
cat "$dir/acked" >>"$INTEROP_EVENTS"
events "$dir/A2" >>"$INTEROP_EVENTS"
