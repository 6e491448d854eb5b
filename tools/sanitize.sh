#!/usr/bin/env bash
# Builds everything under a sanitizer and runs the unit tests and, with the instrumented service, the system tests that
# SYSTEM names (default: api auth lifecycle crash).
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
tools/deps.sh
guest/tiny.sh build/guest-images
cmake --preset "$preset" >/dev/null
cmake --build --preset "$preset" -j "$(nproc)"
system=$(echo "${SYSTEM:-api auth lifecycle crash}" | tr ' ' '|')
ctest --preset "$preset" -E '^(awaits|style|rooms)$' -R "^(base|json|domain|records|wire|crypto|form|sqlite|images|host|qemu|app|http|fetch|daemon|cli)\.|^system\.($system)$"
