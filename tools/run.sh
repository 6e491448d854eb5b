#!/usr/bin/env bash
# Starts vmm-service on the embedded store with a first machine, and stays until Ctrl-C. Everything is kept below
# build/run (RUN_DIR), so that a second run finds its machines again.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
bin=$root/build/release/bin
dir=${RUN_DIR:-$root/build/run}
port=${PORT:-3003}
name=first
log=$dir/vmm-service.log

mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
export XDG_CONFIG_HOME=$dir/config VMM_URL=http://127.0.0.1:$port VMM_KEY=developer
say() { printf '\033[1m==>\033[0m %s\n' "$*"; }

if ! "$bin/vmctl" keys show developer >/dev/null 2>&1; then
    say "making a developer key (plain, for this demonstration only)"
    "$bin/vmctl" keys new developer --plain >/dev/null
fi
address=$("$bin/vmctl" keys show developer)

say "starting vmm-service on 127.0.0.1:$port, log $log"
# In a session of its own: Ctrl-C is for this script, which stops the machines first.
setsid "$bin/vmm-service" \
    --api-host 127.0.0.1 --api-port "$port" --state-url "sqlite://$dir/state.db" --vm-dir "${RUN_VM_DIR:-$dir/vm}" \
    --images-dir "$root/build/images" --default-image tiny --admin-addresses "$address" --log-file "$log" &
service=$!

stopping=no
stop() {
    [ "$stopping" = no ] || return 0
    stopping=yes
    echo
    if kill -0 "$service" 2>/dev/null; then
        for vm in $("$bin/vmctl" ls --quiet --status running 2>/dev/null); do
            say "stopping the machine $vm"
            "$bin/vmctl" stop "$vm" --grace 5 >/dev/null 2>&1 || true
        done
        kill -TERM "$service" 2>/dev/null || true
        wait "$service" 2>/dev/null || true
    fi
    say "stopped; make run finds the machines again"
}
trap 'stop; exit 0' INT TERM
trap stop EXIT

for _ in $(seq 100); do
    "$bin/vmctl" health >/dev/null 2>&1 && break
    if ! kill -0 "$service" 2>/dev/null; then
        wait "$service" || exit $?
    fi
    sleep 0.1
done

# The image that lies in the folder is unpacked when it is first seen.
for _ in $(seq 300); do
    "$bin/vmctl" image show tiny 2>/dev/null | grep -q '^status *ready' && break
    sleep 0.1
done

if status=$("$bin/vmctl" show "$name" 2>/dev/null | awk '$1 == "status" {print $2}') && [ -n "$status" ]; then
    say "found the machine $name again: $status"
    case $status in
        running) ;;
        paused) "$bin/vmctl" resume "$name" ;;
        *) "$bin/vmctl" start "$name" ;;
    esac
    "$bin/vmctl" wait "$name" --for boot >/dev/null
else
    say "creating and booting a first machine through a signed request"
    "$bin/vmctl" create "$name" --label made-by=make-run --wait >/dev/null
fi
say "the guest has reported that it is up:"
"$bin/vmctl" ls
id=$("$bin/vmctl" show "$name" | awk '$1 == "id" {print $2}')

cat <<TEXT

Try next, in another terminal:

  export XDG_CONFIG_HOME=$XDG_CONFIG_HOME VMM_URL=$VMM_URL VMM_KEY=$VMM_KEY PATH=$bin:\$PATH
  curl -s $VMM_URL/health
  vmctl create second --wait
  vmctl pause $name && vmctl resume $name
  vmctl ops

The guest's console:   socat -,raw,echo=0,escape=0x1d UNIX-CONNECT:${RUN_VM_DIR:-$dir/vm}/$id/console.sock   (Ctrl-] leaves)
The service's log:     $log
Ctrl-C stops the machines and the service. kill -9 $service does not disturb the machines; make run takes them over again.
TEXT
wait "$service"
