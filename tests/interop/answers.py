"""The answer checker beside math-verify (PyPI) on the same labelled pairs.

    python3 -m pip install math-verify
    python3 tests/interop/answers.py

decant's checker is compiled into a shared library and called in this process. math-verify gets the
answer as it is and the gold answer in a box, and reads LaTeX, plain expressions and letters. For
each: how many equal pairs are called correct, how many unequal ones, and the time an answer takes.
Give -v to see what each of them gets wrong.
"""
import ctypes
import glob
import logging
import os
import subprocess
import sys
import tempfile
import time

try:
    from math_verify import (ExprExtractionConfig, LatexExtractionConfig, StringExtractionConfig,
                             parse, verify)
except ImportError:
    print("SKIP: math-verify is not here; install it with: python3 -m pip install math-verify")
    sys.exit(77)

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
FILES = ["pairs_a.tsv", "pairs_b.tsv", "pairs_c.tsv", "pairs_d.tsv", "pairs_e.tsv", "pairs_f.tsv"]


def read_pairs(name):
    with open(os.path.join(ROOT, "tests/vectors/answers", name), encoding="utf-8") as f:
        for line in f:
            line = line.rstrip("\n").replace("\u23ce", "\n") if line[0] in "=!" else ""
            if line:
                yield tuple(line.split("\t"))


def build(directory):
    library = os.path.join(directory, "answer.so")
    sources = sum((sorted(glob.glob(os.path.join(ROOT, "dataset", p)))
                   for p in ("answer*.c", "expr*.c")), [])
    subprocess.run(["cc", "-std=c17", "-O2", "-shared", "-fPIC", "-D_GNU_SOURCE", "-I" + ROOT,
                    *sources, "-lm", "-o", library], check=True)
    return ctypes.CDLL(library)


def decant(library):
    check = library.answer_check
    check.argtypes = [ctypes.c_char_p, ctypes.c_size_t] * 2 + [ctypes.c_void_p]

    def judge(text, gold):
        text, gold = text.encode(), gold.encode()
        return {0: "unknown", 1: "wrong", 2: "correct"}[check(text, len(text), gold, len(gold), None)]
    return judge


def math_verify(text, gold):
    kinds = [LatexExtractionConfig(), ExprExtractionConfig(), StringExtractionConfig()]
    expected = parse("\\boxed{" + gold + "}", extraction_config=kinds)
    answer = parse(text, extraction_config=kinds)
    return "correct" if verify(expected, answer) else "not"


def run(name, judge, pairs, verbose):
    n = {"=": 0, "!": 0}
    called = {"=": 0, "!": 0}
    start = time.perf_counter()
    for label, text, gold in pairs:
        verdict = judge(text, gold)
        n[label] += 1
        called[label] += verdict == "correct"
        if verbose and (verdict == "correct") != (label == "="):
            print(f"  {name}: {verdict}: {label} {text!r} {gold!r}")
    seconds = time.perf_counter() - start
    print(f"  {name:12} {called['=']}/{n['=']} equal pairs correct ({100 * called['='] / n['=']:.1f} %), "
          f"{called['!']}/{n['!']} unequal pairs correct, {1e6 * seconds / len(pairs):.1f} us each")
    return called["!"]


def main():
    logging.disable(logging.CRITICAL)
    verbose = "-v" in sys.argv
    with tempfile.TemporaryDirectory() as directory:
        judge = decant(build(directory))
        for name in FILES:
            pairs = list(read_pairs(name))
            print(f"{name}: {len(pairs)} pairs")
            if run("decant", judge, pairs, verbose):
                sys.exit("decant calls an unequal pair correct")
            run("math-verify", math_verify, pairs, verbose)


if __name__ == "__main__":
    main()
