#!/bin/sh
set -e
# The data in /var/lib/headrace stays, whatever is removed.
[ -n "$DPKG_ROOT" ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload
