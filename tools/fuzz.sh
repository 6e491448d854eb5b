#!/usr/bin/env bash
# Builds the fuzz targets and runs each for SECONDS_EACH (60) over its corpus; what is found new goes to build/fuzz/corpus,
# a crash to build/fuzz/findings. TARGETS chooses some.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset fuzz >/dev/null
read -ra targets <<<"${TARGETS:-canonical decoder headers qmp toml http images proofs guests}"
cmake --build --preset fuzz -j "$(nproc)" --target "${targets[@]/#/fuzz_}"
mkdir -p build/fuzz/findings build/fuzz/corpus/images
# The heads of the images that the tests refuse, and of sound ones, are where the fuzzer of images begins.
PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 - <<'PY'
import pathlib, sys, tempfile
sys.path.insert(0, "tests/system")
import corpus
out = pathlib.Path("build/fuzz/corpus/images")
with tempfile.TemporaryDirectory() as made:
    for name, (data, _) in corpus.hostile(made).items():
        (out / name).write_bytes(data[:8192])
    for file in pathlib.Path(made).glob("sound.*"):
        (out / file.name).write_bytes(file.read_bytes()[:8192])
PY
failed=0
for target in "${targets[@]}"; do
    mkdir -p "build/fuzz/corpus/$target"
    echo "== $target: ${SECONDS_EACH:-60} s"
    log=build/fuzz/$target.log
    "build/fuzz/bin/fuzz_$target" -max_total_time="${SECONDS_EACH:-60}" -max_len=8192 -timeout=5 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/findings/$target-" "build/fuzz/corpus/$target" "tests/fuzz/corpus/$target" >"$log" 2>&1 || failed=1
    grep -E 'stat::number_of_executed|ERROR|SUMMARY|^Done' "$log" || true
done
exit $failed
