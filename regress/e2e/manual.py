# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What manual pages and the README show to be typed."""

import re

ESCAPES = {"e": "\\", "&": "", "(:u": "ü", "(dq": '"'}


def displays(page, lines=False):
    """The displays of a page: (heading above, text); with those of one line."""
    heading, display = "", None
    for line in page.read_text().splitlines():
        if line.startswith((".Ss ", ".Sh ")):
            heading = line[4:]
        elif lines and line.startswith(".Dl "):
            yield heading, unescaped(line[4:]) + "\n"
        elif line.startswith(".Bd "):
            display = []
        elif line == ".Ed":
            yield heading, "".join(display)
            display = None
        elif display is not None:
            display.append(unescaped(line) + "\n")


def unescaped(line):
    assert not line.startswith((".", "'")), line
    return re.sub(r"\\(\(..|.)", lambda match: ESCAPES[match[1]], line)


def blocks(markdown):
    """The indented blocks of a text: (heading above, text)."""
    heading, block = "", []
    for line in markdown.read_text().splitlines() + ["#"]:
        if line.startswith("    ") or (block and not line.strip()):
            block.append(line[4:] + "\n")
            continue
        if block:
            yield heading, "".join(block).strip() + "\n"
            block = []
        if line.startswith("#"):
            heading = line.lstrip("# ")
