#!/bin/sh
set -e
# deb says remove or upgrade, rpm how many versions are left: an upgrade goes on serving until the new version restarts it.
case ${1:-0} in
remove | 0) [ -n "$DPKG_ROOT" ] || [ ! -d /run/systemd/system ] || systemctl disable --now headrace.service ;;
esac
