# What the scripts of this folder share: nodes of their own as processes, and Apache Kafka's tools. Sourced with $interop, $root and
# $keep set; whoever sources it defines configure N, which prints the configuration of a node.

work=$(mktemp -d "${TMPDIR:-/tmp}/interop-cluster.XXXXXX")
declare -A node=() port=()
finish() {
	local status=$? n
	for n in "${!node[@]}"; do kill -9 "${node[$n]}" 2>/dev/null || true; done
	if [[ $status -eq 0 && ! $keep ]]; then rm -rf "$work"; else echo "work folder: $work"; fi
}
trap finish EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }
done_with() { echo "ok  $*"; }

classpath=$("$interop/jars.sh")
(cd "$root" && go build -o "$work/headrace" ./cmd/headrace)

# ports N… gives each of these nodes a free port.
ports() {
	local n free
	free=$(python3 -c '
import socket, sys
s = [socket.socket() for _ in sys.argv[1:]]
for x in s: x.bind(("127.0.0.1", 0))
print(*(x.getsockname()[1] for x in s))' "$@")
	for n in "$@"; do
		port[$n]=${free%% *}
		free=${free#* }
	done
}

# start N [FLAG…] starts a node and waits until it is ready.
start() {
	launch "$@"
	ready "$1"
}
ready() { wait_for "node $1 is ready" grep -q 'ready at' "$work/$1.out"; }
launch() {
	local n=$1
	shift
	configure "$n" >"$work/$n.properties"
	"$work/headrace" server --config "$work/$n.properties" "$@" </dev/null >"$work/$n.out" 2>>"$work/$n.log" &
	node[$n]=$!
}
stop() { # stop SIGNAL N
	kill "-$1" "${node[$2]}"
	wait "${node[$2]}" 2>/dev/null || true
	unset "node[$2]"
}
# wait_for WHAT COMMAND… runs a command until it succeeds, 30 s at most.
wait_for() {
	local what=$1 until=$((SECONDS + 30))
	shift
	until "$@" >/dev/null 2>&1; do
		((SECONDS < until)) || fail "never: $what"
		sleep 0.1
	done
}
tool() { # tool CLASS ARG… – one of Kafka's tools
	java -Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$classpath" "org.apache.kafka.tools.$1" "${@:2}" 2>>"$work/tools.log" || {
		tail -20 "$work/tools.log" >&2
		return 1
	}
}
# expect PATTERN TEXT WHAT
expect() { grep -Eq -- "$1" <<<"$2" || fail "$3: no $1 in: $2"; }
