#!/usr/bin/env bash
# Everything that can be checked without running: style, rooms, awaits, and clang-tidy over the changed sources (TIDY=all for
# every one).
set -uo pipefail
cd "$(dirname "$0")/.." || exit
build=build/release
[ -e $build/build.ninja ] || cmake --preset release >/dev/null
failed=0
tools/check_style.sh || failed=1
tools/check_rooms.py || failed=1
tools/await_lint.py $build || failed=1
if [ "${TIDY:-changed}" = all ]; then
    files=$(git ls-files 'src/*.cpp')
else
    files=$(git diff --name-only --diff-filter=d "${BASE:-HEAD}" -- 'src/*.cpp')
fi
if [ -n "$files" ]; then
    echo "clang-tidy: $(echo "$files" | wc -l) files"
    echo "$files" | xargs -P "$(nproc)" -n 1 clang-tidy-19 -p $build --quiet 2>/dev/null | grep -E 'warning:|error:' | sort -u && failed=1
fi
[ $failed = 0 ] && echo "lint: clean"
exit $failed
