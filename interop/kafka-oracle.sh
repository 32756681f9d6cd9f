#!/usr/bin/env bash
# Runs a real Apache Kafka (version in java/pom.xml), one process, broker and controller in one, on loopback.
#
#   interop/kafka-oracle.sh fetch                        only fetch the jars
#   interop/kafka-oracle.sh start PORT DIR [KEY=VALUE…]  format DIR if it is empty, start, wait until it answers
#   interop/kafka-oracle.sh stop DIR                     stop the process that start left in DIR, wait for its end
#   interop/kafka-oracle.sh kill DIR                     the same with SIGKILL
#
# The controller listens on a free port of its own choice. KEY=VALUE are extra lines for server.properties and win over
# the ones here. DIR then holds server.properties, kafka.log, kafka.pid and the log directory data/, which start reuses.
# KAFKA_HEAP sets the heap flags.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
	sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
	exit 2
}

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# The tool takes an id that starts with a dash for an option.
cluster_id() {
	python3 -c 'import base64, uuid; print("H" + base64.urlsafe_b64encode(uuid.uuid4().bytes)[1:22].decode())'
}

alive() { [[ -f $1/kafka.pid ]] && kill -0 "$(<"$1/kafka.pid")" 2>/dev/null; }

write_config() {
	local port=$1 dir=$2 controller
	shift 2
	# A restart keeps the controller's port: the voter set in the metadata log names it.
	controller=$(sed -n 's/^controller.quorum.bootstrap.servers=.*://p' "$dir/server.properties" 2>/dev/null || true)
	controller=${controller:-$(free_port)}
	cat >"$dir/server.properties" <<EOF
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:$controller
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$dir/data
num.partitions=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
EOF
	if (($#)); then printf '%s\n' "$@" >>"$dir/server.properties"; fi
}

start() {
	local port=$1 dir cp
	mkdir -p "$2"
	dir=$(cd "$2" && pwd)
	shift 2
	if alive "$dir"; then
		echo "already running in $dir" >&2
		exit 1
	fi
	cp=$("$here/jars.sh")
	write_config "$port" "$dir" "$@"
	if [[ ! -f $dir/data/meta.properties ]]; then
		java -Xmx256m -XX:TieredStopAtLevel=1 -cp "$cp" kafka.tools.StorageTool format --standalone \
			--cluster-id "$(cluster_id)" \
			--config "$dir/server.properties" >"$dir/format.log" 2>&1 || {
			cat "$dir/format.log" >&2
			exit 1
		}
	fi
	if [[ -f $dir/kafka.log ]]; then mv "$dir/kafka.log" "$dir/kafka.log.old"; fi
	# shellcheck disable=SC2086
	nohup java ${KAFKA_HEAP:--Xms512m -Xmx1g} -XX:+UseG1GC -Dinterop.log.level=INFO -cp "$cp" \
		kafka.Kafka "$dir/server.properties" </dev/null >"$dir/kafka.log" 2>&1 &
	echo $! >"$dir/kafka.pid"
	for _ in $(seq 600); do
		if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && grep -q 'Kafka Server started' "$dir/kafka.log"; then
			return 0
		fi
		alive "$dir" || break
		sleep 0.1
	done
	echo "Apache Kafka did not start; the end of $dir/kafka.log:" >&2
	tail -20 "$dir/kafka.log" >&2
	exit 1
}

stop() {
	local signal=$1 dir=$2 pid
	alive "$dir" || { rm -f "$dir/kafka.pid"; return 0; }
	pid=$(<"$dir/kafka.pid")
	kill "-$signal" "$pid"
	for _ in $(seq 300); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	kill -KILL "$pid" 2>/dev/null || true
	rm -f "$dir/kafka.pid"
}

case ${1:-} in
fetch) "$here/jars.sh" >/dev/null ;;
start) [[ $# -ge 3 ]] || usage; start "${@:2}" ;;
stop) [[ $# -eq 2 ]] || usage; stop TERM "$2" ;;
kill) [[ $# -eq 2 ]] || usage; stop KILL "$2" ;;
*) usage ;;
esac
