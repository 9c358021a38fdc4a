#!/usr/bin/env python3
#
# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Runs suites of tests and counts what became of them.

    check.py -d DIR unit PROGRAM...     cmocka programs
    check.py -d DIR fuzz PROGRAM...     libFuzzer programs, a short run each
    check.py -d DIR lint TARGET...      what make lint is made of
    check.py -d DIR pytest SUITE ARG... pytest
    check.py -d DIR again SUITE         what failed there, once more
    check.py -d DIR program SUITE WORD... one that says itself what it has found
    check.py -d DIR summary SUITE...    one line for all of them

Programs run side by side. Each suite leaves its counts in DIR. The summary
fails when a suite has failures, ran no test, or left nothing because it could
not even be built.

Tests of pytest that failed may be run again when everything else is over, one
after the other: a busy machine is no failure, and the summary tells which of
them passed only alone. What fails again has failed. So has what is marked
`exact`, which is not tried again: it counts what may never be wrong, and that
it was wrong once is what it is there to find. Nor is anything where more than
a few failed.
"""

import argparse
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

UNIT_DEADLINE = 300
FUZZ_SECONDS = int(os.environ.get("FUZZ_SECONDS", "10"))
FUZZ_DEADLINE = FUZZ_SECONDS + 300
LINT_DEADLINE = 1200
AGAIN_MOST = 40
SYMBOLIZER = "/usr/bin/addr2line"
KINDS = ("passed", "failed", "skipped")
TAP = re.compile(r"^(not ok|ok)\b[^#\n]*(# SKIP)?", re.MULTILINE)
PLAN = re.compile(r"^1\.\.(\d+)", re.MULTILINE)


def run(command, deadline, **environment):
    """The exit status and all output; no status where there was no end."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=deadline,
                              env=dict(os.environ, **environment))
    except FileNotFoundError:
        return None, "there is no such program: was it built?"
    except subprocess.TimeoutExpired as late:
        return None, (late.stdout or b"").decode(errors="replace")
    return done.returncode, done.stdout.decode(errors="replace")


def report(name, counts, output):
    print("%-40s %s" % (name, words(counts)))
    if counts["failed"]:
        print(output)
    sys.stdout.flush()


def words(counts):
    return ", ".join("%d %s" % (counts[kind], kind) for kind in KINDS)


def count_tap(status, output):
    counts = Counter()
    for verdict, skip in TAP.findall(output):
        if skip:
            counts["skipped"] += 1
        else:
            counts["passed" if verdict == "ok" else "failed"] += 1
    # A program that died has tests that it never came to.
    planned = sum(int(number) for number in PLAN.findall(output))
    counts["failed"] += max(0, planned - sum(counts.values()))
    if not counts["failed"] and (status != 0 or planned == 0):
        counts["failed"] = 1
    return counts


def each(judge, words, crowd):
    """The counts of all, judged by judge(word) to (counts, output), so many
    of them at a time for each processor."""
    total = Counter()
    with ThreadPoolExecutor(crowd * len(os.sched_getaffinity(0))) as pool:
        for word, (counts, output) in zip(words, pool.map(judge, words)):
            report(Path(word).name, counts, output)
            total += counts
    return total


def unit(program):
    status, output = run([program], UNIT_DEADLINE,
                         CMOCKA_MESSAGE_OUTPUT="TAP")
    return count_tap(status, output), output


def one(good):
    return Counter(passed=1) if good else Counter(failed=1)


def fuzz_command(program):
    """Inputs found on the way go beside the program, seeds stay as they are."""
    program = Path(program)
    name = program.name.removeprefix("fuzz_")
    found = program.parent / "corpus" / name
    found.mkdir(parents=True, exist_ok=True)
    command = [program, "-max_total_time=%d" % FUZZ_SECONDS, "-timeout=10",
               "-artifact_prefix=%s/%s-" % (program.parent, name),
               "-print_final_stats=1", found]
    seeds = Path("regress/fuzz/corpus", name)
    return command + ([seeds] if seeds.is_dir() else [])


def fuzz(program):
    status, output = run(fuzz_command(program), FUZZ_DEADLINE,
                         ASAN_SYMBOLIZER_PATH=SYMBOLIZER)
    runs = re.search(r"number_of_executed_units: (\d+)", output)
    return one(status == 0 and runs and int(runs.group(1)) > 0), output


def lint(target):
    status, output = run(["make", "--no-print-directory", "-s", target],
                         LINT_DEADLINE)
    return one(status == 0), output


def cases(path):
    """(test, what became of it) of all in a file of pytest's. A test may be
    there twice, where it fails and then its end does too; one that could not
    even be read in has no name to run it by."""
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        kinds = {part.tag for part in case}
        became = "failed" if kinds & {"failure", "error"} else \
            "skipped" if "skipped" in kinds else "passed"
        name = "%s::%s" % (case.get("file"), case.get("name"))
        yield name if case.get("classname") else "", became


def run_pytest(junit, arguments):
    """Its exit status, and what became of the tests."""
    junit.unlink(missing_ok=True)
    status = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider",
         "-o", "junit_family=xunit1", "--junitxml", junit,
         *arguments]).returncode
    return status, list(cases(junit)) if junit.exists() else []


def pytest(directory, suite, arguments):
    status, found = run_pytest(directory / (suite + ".xml"), arguments)
    counts = Counter(became for _, became in found)
    if status != 0 and not counts["failed"]:
        counts["failed"] = 1
    save_names(directory, suite, "failed",
               [test for test, became in found if became == "failed"])
    return counts


def again(directory, suite):
    """The counts, with the tests that pass alone among those that passed."""
    counts = load(directory, suite) or Counter(failed=1)
    failed = load_names(directory, suite, "failed")
    tests = sorted(set(failed) - {""})
    if not 0 < len(tests) <= AGAIN_MOST:
        return counts
    _, found = run_pytest(directory / (suite + "-again.xml"),
                          ["-m", "not exact", *tests])
    became = {kind: {test for test, how in found if how == kind}
              for kind in KINDS}
    alone = sorted(became["passed"] - became["failed"])
    counts["passed"] += len(alone)
    counts["failed"] -= sum(map(failed.count, alone))
    save_names(directory, suite, "alone", alone)
    return counts


def save_names(directory, suite, kind, tests):
    """One a line, an empty one for what has no name."""
    (directory / ("%s.%s" % (suite, kind))).write_text(
        "".join(test + "\n" for test in tests))


def load_names(directory, suite, kind):
    try:
        text = (directory / ("%s.%s" % (suite, kind))).read_text()
    except FileNotFoundError:
        return []
    return text.splitlines()


def save(directory, suite, counts):
    text = " ".join(str(counts[kind]) for kind in KINDS)
    (directory / (suite + ".counts")).write_text(text + "\n")


def load(directory, suite):
    try:
        text = (directory / (suite + ".counts")).read_text()
    except FileNotFoundError:
        return None
    return Counter(dict(zip(KINDS, map(int, text.split()))))


def summary(directory, suites):
    total = Counter()
    for suite in suites:
        counts = load(directory, suite)
        if counts is None:
            print("%-16s did not run" % suite)
            counts = Counter(failed=1)
        elif counts["passed"] + counts["failed"] == 0:
            print("%-16s has no tests" % suite)
            counts["failed"] += 1
        else:
            print("%-16s %s" % (suite, words(counts)))
        alone = load_names(directory, suite, "alone")
        if alone:
            print("%-16s %d passed only alone:" % ("", len(alone)))
            print("".join("    %s\n" % test for test in alone), end="")
        total += counts
    print("check: " + words(total))
    return total


def program(words_of_it):
    return one(subprocess.run(words_of_it).returncode == 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-d", dest="directory", type=Path, required=True)
    parser.add_argument("what", choices=("unit", "fuzz", "lint", "pytest",
                                         "again", "program",
                                         "summary"))
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    args = parser.parse_args()

    args.directory.mkdir(parents=True, exist_ok=True)
    if args.what == "summary":
        counts = summary(args.directory, args.rest)
    elif args.what == "pytest":
        suite, *arguments = args.rest
        counts = pytest(args.directory, suite, arguments)
        save(args.directory, suite, counts)
    elif args.what == "again":
        counts = again(args.directory, args.rest[0])
        save(args.directory, args.rest[0], counts)
    elif args.what == "program":
        counts = program(args.rest[1:])
        save(args.directory, args.rest[0], counts)
    else:
        # Unit tests wait a while where they are about deadlines.
        judge, crowd = {"unit": (unit, 4), "fuzz": (fuzz, 1),
                        "lint": (lint, 1)}[args.what]
        counts = each(judge, args.rest, crowd)
        save(args.directory, args.what, counts)
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
