#!/usr/bin/env python3
"""Runs await_lint.q over every source that awaits in a way that could be a hazard: await_lint.py BUILD_FOLDER. What was clean
and has not changed since, with all headers of the repository, is not looked at again."""
import concurrent.futures
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def suspicious(text):
    """Whether an awaiting expression holds a brace, a lambda or a question mark: without these it cannot be a hazard, and
    most sources need not be parsed. Errs towards parsing."""
    for at in (m.start() for m in re.finditer(r"\bco_await\b", text)):
        begin = max(text.rfind(c, 0, at) for c in ";{}")
        if "?" in text[begin + 1 : at]:
            return True
        depth = 0
        for c in text[at:]:
            if c in "{?":
                return True
            depth += (c == "(") - (c == ")")
            if c == ";" or depth < 0:
                break
    return False


def main():
    build = pathlib.Path(sys.argv[1])
    if not shutil.which("clang-query-19"):
        sys.exit("await_lint: clang-query-19 is missing (make deps installs it)")
    query = ROOT / "tools/await_lint.q"
    headers = hashlib.sha256(query.read_bytes())
    for header in sorted((ROOT / "src").rglob("*.h")):
        headers.update(header.read_bytes())
    clean_folder = build / "await-lint"
    clean_folder.mkdir(exist_ok=True)
    files = [f for f in sorted((ROOT / "src").rglob("*.cpp")) if "tests" not in f.parts and suspicious(f.read_text())]

    def look(file):
        mark = clean_folder / hashlib.sha256(headers.digest() + file.read_bytes()).hexdigest()
        if mark.exists():
            return ""
        out = subprocess.run(["clang-query-19", "-f", query, "-p", build, file], capture_output=True, text=True)
        said = out.stdout + out.stderr
        if out.returncode != 0 or " error: " in said:
            return f"{file}: clang-query failed\n{said[-2000:]}\n"
        # What lies in other people's headers is theirs.
        found = [line for line in said.splitlines() if "binds here" in line and line.startswith(str(ROOT))]
        if not found:
            mark.touch()
        return "\n".join(found)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        findings = [f for f in pool.map(look, files) if f]
    print("\n".join(findings) or f"{len(files)} files parsed, no hazardous co_await")
    return bool(findings)


sys.exit(main())
