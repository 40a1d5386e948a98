#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Run rings of tests and count: `run.py unit fuzz prog net docs`.

unit   cmocka programs, no root           prog  cmocka programs that load BPF (root)
fuzz   each parser replays its corpus     net   pytest over network namespaces (root)
docs   the documentation's examples and links

Every test's line goes to stdout; the last line is "N passed, N failed" (", N skipped" with the
reasons above it). Exit 0 only if nothing failed and, where prog or net were asked for, BPF ran.
"""
import glob
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build"))
PROGRAM_SECONDS = 600
PYTEST_SECONDS = 1200


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, name, outcome, why=""):
        word = {"passed": "ok  ", "failed": "FAIL", "skipped": "skip"}[outcome]
        setattr(self, outcome, getattr(self, outcome) + 1)
        print(f"{word} {name}{': ' + why if why else ''}", flush=True)


def run_cmocka(count, program):
    """One line per test function, from cmocka's own output."""
    name = os.path.basename(program)
    try:
        done = subprocess.run([program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=PROGRAM_SECONDS, check=False)
        text, code = done.stdout.decode(errors="replace"), done.returncode
    except subprocess.TimeoutExpired as late:
        text, code = (late.stdout or b"").decode(errors="replace"), f"no end after {PROGRAM_SECONDS} s"
    seen = re.findall(r"^\[\s+(OK|FAILED|SKIPPED)\s+\] (\S+)", text, re.M)
    outcome = {"OK": "passed", "FAILED": "failed", "SKIPPED": "skipped"}
    results = dict((test, outcome[word]) for word, test in seen if not test.endswith("test(s)"))
    for test, result in results.items():
        count.add(f"{name}:{test}", result)
    if code == 77 and not results:
        count.add(name, "skipped", text.strip().splitlines()[-1] if text.strip() else "no reason given")
    elif code != 0 and "failed" not in results.values():
        count.add(name, "failed", f"exit {code}")
    elif not results:
        count.add(name, "failed", "no test ran")
    if code not in (0, 77):
        print(text, flush=True)


def ring_cmocka(count, ring):
    sources = sorted(glob.glob(f"{ROOT}/tests/{ring}/test_*.c"))
    for source in sources:
        name = os.path.basename(source)[:-2]
        program = f"{BUILD}/tests/{ring}/{name}"
        if os.path.exists(program):
            run_cmocka(count, program)
        else:
            count.add(name, "failed", "it was not built")


def ring_fuzz(count):
    for source in sorted(glob.glob(f"{ROOT}/tests/fuzz/fuzz_*.c")):
        name = os.path.basename(source)[:-2]
        corpus = f"{ROOT}/tests/corpus/{name[len('fuzz_'):]}"
        program = f"{BUILD}/tests/fuzz/replay_{name}"
        if not os.path.exists(program):
            count.add(f"{name}_replays_its_corpus", "failed", "it was not built")
            continue
        done = subprocess.run([program, corpus], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=PROGRAM_SECONDS, check=False)
        text = done.stdout.decode(errors="replace").strip()
        count.add(f"{name}_replays_its_corpus", "failed" if done.returncode else "passed",
                  text.splitlines()[-1] if text else "")


def ring_pytest(count, folder):
    report = f"{BUILD}/{folder}-report.xml"
    if os.path.exists(report):
        os.remove(report)
    os.makedirs(BUILD, exist_ok=True)
    env = dict(os.environ, BUILD=BUILD, PYTHONPATH=f"{ROOT}/tests/lib", PYTHONDONTWRITEBYTECODE="1")
    command = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short",
               f"--junitxml={report}", f"{ROOT}/tests/{folder}"]
    try:
        code = subprocess.run(command, env=env, timeout=PYTEST_SECONDS, check=False).returncode
    except subprocess.TimeoutExpired:
        code = f"no end after {PYTEST_SECONDS} s"
    if not os.path.exists(report):
        count.add(f"tests/{folder}", "failed", f"pytest made no report ({code})")
        return
    for case in ET.parse(report).iter("testcase"):
        name = f"{case.get('classname', '').split('.')[-1]}:{case.get('name')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            count.add(name, "failed")
        elif skipped is not None:
            count.add(name, "skipped", skipped.get("message", ""))
        else:
            count.add(name, "passed")


def main(rings):
    count = Count()
    for ring in rings:
        start, before = time.monotonic(), count.passed
        print(f"== {ring}", flush=True)
        if ring in ("prog", "net") and os.geteuid() != 0:
            count.add(f"ring {ring}", "failed", "needs root: BPF programs are loaded and namespaces made")
            continue
        if ring in ("unit", "prog"):
            ring_cmocka(count, ring)
        elif ring == "fuzz":
            ring_fuzz(count)
        else:
            ring_pytest(count, ring)
        print(f"== {ring}: {time.monotonic() - start:.0f} s", flush=True)
        if count.passed == before:
            count.add(f"ring {ring}", "failed", "not one test of it passed")
    tail = f", {count.skipped} skipped" if count.skipped else ""
    print(f"{count.passed} passed, {count.failed} failed{tail}")
    return 1 if count.failed or not count.passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["unit"]))
