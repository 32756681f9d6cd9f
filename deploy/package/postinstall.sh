#!/bin/sh
set -e
if command -v systemd-sysusers >/dev/null 2>&1; then
	systemd-sysusers ${DPKG_ROOT:+--root="$DPKG_ROOT"} headrace.conf
elif ! getent passwd headrace >/dev/null 2>&1; then
	useradd --system --user-group --home-dir /var/lib/headrace --shell /usr/sbin/nologin headrace
fi
[ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
systemctl try-restart headrace.service
if ! systemctl is-enabled --quiet headrace.service; then
	echo 'headrace: edit /etc/headrace/server.properties, then: systemctl enable --now headrace'
fi
