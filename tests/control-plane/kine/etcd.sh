#!/bin/sh
# Stands in for etcd: runs the kine beside it, with SQLite in etcd's data directory, at etcd's client address. Of etcd's flags it
# takes these two; the others are about peers, which SQLite has not.
set -eu
port='' data=''
while [ $# -gt 0 ]; do
    case $1 in
        --listen-client-urls | -listen-client-urls) port=${2##*:}; shift ;;
        --data-dir | -data-dir) data=$2; shift ;;
    esac
    shift
done
[ -n "$port" ] && [ -n "$data" ] || { echo "etcd (kine): --listen-client-urls and --data-dir are needed" >&2; exit 2; }
mkdir -p "$data"
exec "$(dirname "$0")/kine" --listen-address "tcp://127.0.0.1:$port" --metrics-bind-address 0 \
    --endpoint "sqlite://$data/state.db?_journal=WAL&cache=shared&_busy_timeout=30000"
