#!/usr/bin/env bash
# What is quick to check: format, spelling, shell scripts, length of files, words and waits that do not belong.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
failed=0
sources=$(git ls-files '*.cpp' '*.h')
# shellcheck disable=SC2086
clang-format-19 --dry-run --Werror $sources || failed=1
git ls-files | grep -vE 'package-lock.json|tests/vectors|^LICENSE' | xargs codespell --ignore-words-list=ser,parms,testin,hax,nmae,imgae,conectix || failed=1
git ls-files '*.sh' .ci/run guest/init tools/hooks | xargs -r shellcheck --severity=warning --exclude=SC2154,SC2187,SC2034 || failed=1
while read -r file; do
    lines=$(wc -l <"$file")
    if [ "$lines" -gt 500 ]; then
        echo "$file has $lines lines; 500 is the most" >&2
        failed=1
    fi
done < <(git ls-files '*.cpp' '*.h' '*.py' '*.sh')
# A wait without a read may end with nothing there; these three look again.
if git grep -nE 'wait_(read|write|error)\b' -- 'src/*.cpp' 'src/*.h' ':!src/base/src/process.cpp' \
    ':!src/fetch/src/upload.cpp' ':!src/http/src/session.h'; then
    echo "a bare wait on a descriptor: read from it, or look whether it is so, as base/src/process.cpp does" >&2
    failed=1
fi
exit $failed
