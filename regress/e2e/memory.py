# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What a program holds in memory, looked at from outside."""

import re


def regions(pid):
    """Where what may be written is, and what that is."""
    with open("/proc/%d/maps" % pid) as maps:
        for line in maps:
            where, rights, *_ = fields = line.split()
            if rights.startswith("rw"):
                start, end = (int(x, 16) for x in where.split("-"))
                yield start, end, fields[5] if len(fields) > 5 else ""


def found(pid, secrets):
    """{secret: where it is} of those that are in the memory of a process."""
    hits = {}
    pattern = re.compile(b"|".join(map(re.escape, secrets)))
    with open("/proc/%d/mem" % pid, "rb", 0) as mem:
        for start, end, name in regions(pid):
            for hit in pattern.finditer(contents(mem, start, end)):
                around = hit.string[max(0, hit.start() - 40):hit.end() + 40]
                hits[hit[0]] = (name, hex(start + hit.start()), around)
    return hits


def contents(mem, start, end):
    try:
        mem.seek(start)
        return mem.read(end - start)
    except (OSError, ValueError):
        return b""  # a guard page, or what the kernel maps
