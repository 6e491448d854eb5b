"""The canonical writer against Python's own json, on thousands of generated documents."""
import json
import math
import random
import struct
import subprocess

from support import BIN

CHARACTERS = ["a", "Z", "0", " ", '"', "\\", "/", "\b", "\t", "\n", "\f", "\r", "\x00", "\x1f", "\x7f", "\x80", "é", "ÿ", "Ā", "\u2028", "☃",
              "\ud7ff", "\ue000", "\uffff", "😀", "\U0010ffff", "𝒳"]


def text(chance):
    return "".join(chance.choice(CHARACTERS) for _ in range(chance.randrange(8)))


def number(chance):
    kind = chance.randrange(6)
    if kind == 0:
        return chance.randrange(-10, 10)
    if kind == 1:
        return chance.randrange(-(10 ** chance.randrange(1, 60)), 10 ** chance.randrange(1, 60))
    if kind == 2:
        return chance.choice([0.0, -0.0, 1.0, 1e16, 1e15, 9999999999999998.0, 1e-4, 1e-5, 1e22, 1e23, 5e-324, 1.7976931348623157e308, 0.1, 1 / 3])
    if kind == 3:
        return chance.uniform(-1e6, 1e6)
    while True:
        value = struct.unpack("d", chance.randbytes(8))[0]
        if math.isfinite(value):
            return value


def value(chance, depth=0):
    kind = chance.randrange(8 if depth < 5 else 5)
    if kind == 0:
        return chance.choice([True, False, None])
    if kind in (1, 2):
        return number(chance)
    if kind in (3, 4):
        return text(chance)
    if kind == 5:
        return [value(chance, depth + 1) for _ in range(chance.randrange(5))]
    return {text(chance): value(chance, depth + 1) for _ in range(chance.randrange(6))}


def spelled(chance, document):
    """The document in one of the ways a client may send it."""
    return json.dumps(
        document, ensure_ascii=chance.random() < 0.5, separators=chance.choice([(",", ":"), (", ", ": "), (" ,  ", " : ")]),
        sort_keys=chance.random() < 0.3,
    )


def run(lines):
    out = subprocess.run([BIN / "canonical"], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True)
    return out.stdout.split("\n")[:-1]


def test_it_writes_what_python_writes():
    chance = random.Random(7)
    documents = [value(chance) for _ in range(6000)]
    sent = [spelled(chance, d) for d in documents]
    for line, document, got in zip(sent, documents, run(sent), strict=True):
        assert got == json.dumps(document, sort_keys=True), line


def test_it_reads_numbers_as_python_reads_them():
    chance = random.Random(8)
    sent = []
    for _ in range(4000):
        digits = "".join(chance.choice("0123456789") for _ in range(chance.randrange(1, 25))).lstrip("0") or "0"
        fraction = "." + "".join(chance.choice("0123456789") for _ in range(chance.randrange(1, 25))) if chance.random() < 0.7 else ""
        exponent = chance.choice("eE") + chance.choice(["", "+", "-"]) + str(chance.randrange(0, 330)) if chance.random() < 0.6 else ""
        sent.append(chance.choice(["", "-"]) + digits + fraction + exponent)
    for line, got in zip(sent, run(sent), strict=True):
        expected = json.loads(line)
        if isinstance(expected, float) and math.isinf(expected):
            assert got == "refused", line
        else:
            assert got == json.dumps(expected), line
