#!/usr/bin/env python3
"""Fails when a room includes a room it does not NEED, when rooms form a ring, or when a library shows up outside the rooms
that may know it."""
import pathlib
import re
import sys

SRC = pathlib.Path(__file__).resolve().parent.parent / "src"
ONLY_IN = {  # header prefix -> the rooms that may include it
    "boost/beast": {"http", "fetch"}, "boost/json": {"json"}, "boost/describe": {"json", "wire", "proofs", "form", "cli", "images"}, "boost/url": {"http", "fetch"},
    "boost/asio": {"base", "app", "http", "fetch", "qemu", "sqlite", "images", "network", "daemon", "cli"}, "sqlite3.h": {"sqlite"},
    "secp256k1": {"crypto"}, "cryptopp/": {"crypto"}, "openssl/": {"crypto", "cli"}, "zstd": {"form"}, "seccomp.h": set(), "netlink/": {"network"}, "nftables/": {"network"}, "yaml": {"seed"}, "archive": {"seed", "cli"}, "toml++": {"daemon", "cli"}, "CLI/": {"daemon", "cli"},
    "spdlog": {"base", "app", "http", "qemu", "images", "network", "daemon"}, "linux/": {"qemu", "images", "network"},
}
PURE = {"domain"}  # no third-party header at all


def rooms():
    for lists in SRC.rglob("CMakeLists.txt"):
        text = " ".join(re.sub(r"#.*", "", lists.read_text()).split())
        for name, rest in re.findall(r"vmm_room\( ?(\w+)([^)]*)\)", text):
            needs, taking = set(), False
            for word in rest.split():
                if word in {"NEEDS", "USES", "SOURCES", "TESTS"}:
                    taking = word == "NEEDS"
                elif taking:
                    needs.add(word)
            yield name, lists.parent, needs


def main():
    known = {name: (folder, needs) for name, folder, needs in rooms()}
    wrong = []
    for name, (folder, needs) in known.items():
        for file in [*folder.rglob("*.h"), *folder.rglob("*.cpp")]:
            test = "tests" in file.relative_to(folder).parts
            for number, line in enumerate(file.read_text().splitlines(), 1):
                at = f"{file.relative_to(SRC)}:{number}"
                if own := re.match(r'\s*#include "vmm/(\w+)/', line):
                    if own[1] not in needs | {name} and not test:
                        wrong.append(f"{at}: {name} may not include {own[1]}")
                elif (other := re.match(r"\s*#include <([^>]+)>", line)) and not test:
                    for prefix, homes in ONLY_IN.items():
                        if other[1].startswith(prefix) and name not in homes:
                            wrong.append(f"{at}: {other[1]} belongs to {', '.join(sorted(homes))}")
                    if name in PURE and "/" in other[1]:
                        wrong.append(f"{at}: {name} includes no third-party header")
    seen, path = set(), []

    def visit(name):
        if name in path:
            wrong.append("ring: " + " -> ".join([*path[path.index(name):], name]))
        elif name not in seen:
            path.append(name)
            for need in sorted(known[name][1]) if name in known else []:
                visit(need)
            seen.add(path.pop())

    for name in known:
        visit(name)
    print("\n".join(wrong) or f"{len(known)} rooms, every include allowed")
    return bool(wrong)


sys.exit(main())
