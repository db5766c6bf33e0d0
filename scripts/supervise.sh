#!/bin/sh
# Keeps berthd running where systemd does not: starts it again when it dies, ends with it when it is told to stop.
# usage: supervise.sh PIDFILE LOGFILE berthd [ARG…]
set -eu
pidfile=$1 log=$2
shift 2
echo $$ >"$pidfile"
child=
trap '[ -z "$child" ] || kill -TERM "$child"; wait "$child" 2>/dev/null || true; rm -f "$pidfile"; exit 0' TERM INT
trap '[ -z "$child" ] || kill -HUP "$child"' HUP
while :; do
  "$@" >>"$log" 2>&1 </dev/null &
  child=$!
  # A signal interrupts wait: go on waiting for the same daemon.
  code=0
  while :; do code=0; wait "$child" || code=$?; kill -0 "$child" 2>/dev/null || break; done
  [ "$code" -ne 0 ] || { rm -f "$pidfile"; exit 0; }
  echo "supervise: berthd ended with status $code, starting it again" >>"$log"
  sleep 1
done
