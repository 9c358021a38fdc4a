# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""make dist, and the one place of the version."""

import hashlib
import os
import re

from debs import TARBALL, VERSION, run
from places import SOURCE, workdir


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def made_again(umask):
    """The archive that is made of what is in the archive, by somebody else
    at another time."""
    place = workdir("dist")
    before = os.umask(umask)
    try:
        run("tar", "--no-same-permissions", "--touch", "-C", place, "-xf",
            TARBALL)
        root = place / ("smtpusers-" + VERSION)
        run("chown", "-R", "nobody:nogroup", root)
        (root / "lib" / "__pycache__").mkdir()
        (root / "lib" / "__pycache__" / "x.pyc").write_text("x")
        run("make", "-s", "-C", root, "dist")
    finally:
        os.umask(before)
    return root / "build" / TARBALL.name


def test_two_archives_are_one():
    assert digest(made_again(0o022)) == digest(TARBALL)
    assert digest(made_again(0o077)) == digest(TARBALL)


def test_nothing_of_this_machine_is_in_it():
    data = TARBALL.read_bytes()
    # No name, no time, and "Unix": RFC 1952, 2.3.
    assert data[:4] == b"\x1f\x8b\x08\x00"
    assert data[4:8] == b"\0\0\0\0"
    rows = [line.split() for line in run(
        "tar", "--full-time", "--numeric-owner", "-tvf",
        TARBALL).splitlines()]
    assert {row[1] for row in rows} == {"0/0"}
    assert {row[0] for row in rows} == {"-rw-r--r--", "-rwxr-xr-x"}
    assert len({(row[3], row[4]) for row in rows}) == 1
    names = [row[5] for row in rows]
    assert not [name for name in names if "/build/" in name
                or "/.git/" in name or "__pycache__" in name]
    assert "smtpusers-%s/regress/unit/unit.h" % VERSION in names


def test_all_agree_on_the_version():
    changes = (SOURCE / "CHANGELOG.md").read_text()
    first = re.search(r"^## \[(.*)\] - (\S+)$", changes, re.MULTILINE)
    assert first[1] == VERSION
    said = run("dpkg-parsechangelog", "-l", SOURCE / "debian" / "changelog")
    assert "\nVersion: %s\n" % VERSION in said
    stamp, = re.findall("^Timestamp: ([0-9]+)$", said, re.MULTILINE)
    assert run("date", "-u", "-d", "@" + stamp, "+%F").strip() == first[2]
