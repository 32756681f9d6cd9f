#!/usr/bin/env bash
# Prints a class path that holds the Java client, every Apache Kafka tool and the Apache Kafka broker, as listed in
# java/pom.xml, or what another pom.xml lists; fetches the jars with Maven the first time. Example:
#
#   java -cp "$(interop/jars.sh)" org.apache.kafka.tools.TopicCommand --bootstrap-server 127.0.0.1:9092 --list
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${INTEROP_CACHE:-$HOME/.cache/headrace-interop}
pom=${1:-$here/java/pom.xml}
sum=$(sha256sum "$pom" | cut -c1-12)
dir=$cache/jars-$sum

if [[ ! -f $dir/.complete ]]; then
	mkdir -p "$cache"
	tmp=$(mktemp -d "$cache/jars.XXXXXX")
	mvn -q -B -f "$pom" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
		-DoutputDirectory="$tmp" >"$tmp.log" 2>&1 || {
		cat "$tmp.log" >&2
		rm -rf "$tmp" "$tmp.log"
		exit 1
	}
	rm -f "$tmp.log"
	touch "$tmp/.complete"
	rm -rf "$dir"
	mv "$tmp" "$dir"
fi
# The configuration folder comes first, so its log4j2.properties wins.
printf '%s:%s/*\n' "$here/java/conf" "$dir"
