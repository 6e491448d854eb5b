#!/usr/bin/env bash
# Runs all tests of a built preset; ends with the test runner's summary. Guests run side by side, so that the time goes
# into the tests rather than into waiting.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-release}
exec ctest --preset "$preset" --output-on-failure -j "${TEST_JOBS:-$(($(nproc) * 2))}"
