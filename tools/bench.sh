#!/usr/bin/env bash
# Measures, and writes docs/benchmarks.md; QUICK=1 only shows that everything runs.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --build --preset release -j "$(nproc)" --target vmm-service vmctl bench_floor bench_disk bench_rules
exec /usr/bin/python3 bench/bench.py ${QUICK:+--quick} "$@"
