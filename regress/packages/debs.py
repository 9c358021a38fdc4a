# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Debian packages: what is in them, what installs them, and older ones."""

import os
import re
import subprocess
from pathlib import Path

from places import SOURCE, build

VERSION = (SOURCE / "VERSION").read_text().strip()
FILES = SOURCE / "build" / "deb"
TARBALL = SOURCE / "build" / ("smtpusers-%s.tar.gz" % VERSION)
FILTER = "/usr/libexec/opensmtpd/filter-smtpusers"
TABLE = "/usr/libexec/opensmtpd/table-smtpusers"

# Debian's own way of telling that nobody is there to be asked.
ENVIRONMENT = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}


def run(*words, **options):
    """What a command prints; it must end well."""
    done = subprocess.run(
        [*map(str, words)], stdin=subprocess.DEVNULL, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        **{"env": ENVIRONMENT, **options})
    assert done.returncode == 0, done.stdout
    return done.stdout


class Debs(dict):
    """{name: file} of the packages in a directory, without their symbols."""

    def __init__(self, directory):
        super().__init__()
        for path in sorted(directory.glob("*.deb")):
            name = path.name.partition("_")[0]
            if not name.endswith("-dbgsym"):
                self[name] = path

    def paths(self):
        return list(self.values())

    def files(self, name):
        """{path: mode} of what is no directory."""
        rows = [line.split(None, 5) for line in
                run("dpkg-deb", "-c", self[name]).splitlines()]
        return {row[5].partition(" -> ")[0].removeprefix("."): row[0]
                for row in rows if row[0][0] != "d"}

    def field(self, name, field):
        return run("dpkg-deb", "-f", self[name], field).strip()


def put(*paths):
    """Install or upgrade, with the documentation that the root leaves out."""
    return run("dpkg", "--path-include=/usr/share/doc/*", "--install", *paths)


def purge(*names):
    return run("dpkg", "--purge", *names)


def status(name):
    return run("dpkg-query", "-f", "${db:Status-Status} ${Version}", "-W",
               name)


OF_DPKG = ("/proc", "/sys", "/dev", "/tmp", "/run", "/src", "/var/lib/dpkg",
           "/var/lib/apt", "/var/log", "/var/cache")


def tree():
    """Every path of the system that is not dpkg's own, or apt's."""
    found = set()
    for place, directories, files in os.walk("/"):
        directories[:] = [name for name in directories
                          if os.path.join(place, name) not in OF_DPKG]
        found |= {os.path.join(place, name) for name in directories + files}
    return found


def older(debs, directory, text):
    """Packages of a version before, with these functions: as long as ours,
    since they take their place in the programs. The directory has room."""
    ours = (build() / "smtpusers.lua").read_bytes()
    former = re.sub("[0-9]", "0", VERSION)
    for name, path in debs.items():
        place = Path(directory, name)
        run("dpkg-deb", "-R", path, place)
        for file in filter(Path.is_file, place.rglob("*")):
            data = file.read_bytes()
            made = data.replace(ours, text.encode())
            if file.name in ("VERSION", "control") or data[:4] == b"\x7fELF":
                made = made.replace(VERSION.encode(), former.encode())
            if made != data:
                file.write_bytes(made)
        run("dpkg-deb", "--root-owner-group", "-Znone", "-b", place,
            Path(directory, name + "_older.deb"))
    return Debs(Path(directory)), former
