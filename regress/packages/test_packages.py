# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The Debian packages: how they are made, what they install, and what is left
when they go. In the order of this file."""

import pwd
import re
import shutil
import stat
import subprocess
from pathlib import Path

from debs import (ENVIRONMENT, FILES, FILTER, TABLE, TARBALL, VERSION, put,
                  run, status)
from places import build, workdir

NAMES = {"opensmtpd-filter-smtpusers", "opensmtpd-table-smtpusers",
         "smtpusers", "smtpusers-report"}
# What systemd-sysusers leaves of the files that it has changed.
OF_ACCOUNTS = {"/etc/" + name for name in (
    ".pwd.lock", "group-", "gshadow-", "passwd-", "shadow-")}


def test_the_packages(debs):
    assert set(debs) == NAMES
    for name in debs:
        assert debs.field(name, "Version") == VERSION
    needs = debs.field("opensmtpd-filter-smtpusers", "Depends")
    assert "opensmtpd (>= 7.6)" in needs


def test_nothing_was_said_against_them():
    log = (FILES / "build.log").read_text()
    assert "warning:" not in log.lower()
    assert run("blhc", FILES / "build.log") == ""
    changes, = FILES.glob("*.changes")
    # Its words are about the root that runs it.
    said = subprocess.run(
        ["lintian", "-I", "--tag-display-limit", "0", changes],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert (said.stdout, said.returncode) == ("", 0)


def test_each_file_is_in_one_package(debs):
    """What make install installs; debhelper fails where one is in none."""
    held = [path for name in debs for path in debs.files(name)]
    assert sorted(held) == sorted(set(held))
    made = build().parents[1] / "debian" / "tmp"
    gone = {"/" + str(path.relative_to(made)) for path in made.rglob("*")
            if not path.is_dir()} - set(held)
    assert {path for path in gone if path + ".gz" not in held} == set()


def test_they_are_installed(installed):
    for name in installed:
        assert status(name) == "installed " + VERSION
        assert run("dpkg", "--verify", name) == ""
    assert run("dpkg", "--audit") == ""
    for program in (FILTER, TABLE):
        assert VERSION in run(program, "-V")
    assert VERSION in run("smtpusers", "--version")
    owner = pwd.getpwnam("smtpusers-hooks")
    spool = Path("/var/spool/smtpusers-hooks").stat()
    assert (spool.st_uid, spool.st_gid) == (owner.pw_uid, owner.pw_gid)
    assert stat.S_IMODE(spool.st_mode) == 0o700
    modules = Path("/usr/share/smtpusers/provision/__pycache__")
    assert list(modules.glob("*.pyc"))


def test_each_program_has_a_manual(installed):
    programs = [Path(path) for name in installed
                for path, mode in installed.files(name).items()
                if mode.startswith("-rwx") and path.rpartition("/")[0] in (
                    "/usr/sbin", "/usr/share/smtpusers/hooks",
                    str(Path(FILTER).parent), "/usr/lib/cgi-bin")]
    assert len(programs) == 7
    for program in programs:
        page = run("man", "-w", "8", program.name).strip()
        text = run("man", "-P", "cat", page, env={"MANWIDTH": "80"})
        assert "/usr/local/share/smtpusers" not in text
        assert "/usr/local/lib" not in text
        for path in re.findall(r"/usr/share/smtpusers/[a-z0-9./-]*[a-z0-9]", text):
            assert Path(path).exists(), path


def test_systemd_takes_the_units(installed):
    units = ["opensmtpd.service"] + [
        path for name in installed for path in installed.files(name)
        if path.endswith((".service", ".timer"))]
    assert len(units) > 3
    assert run("systemd-analyze", "verify", "--man=no", *units) == ""
    shown = run("systemd-analyze", "cat-config",
                "systemd/system/opensmtpd.service")
    assert "Restart=always" in shown


def test_the_hooks_are_off(installed):
    wanted = Path("/etc/systemd/system").rglob("smtpusers-*")
    assert list(wanted) == []


def test_a_relay_at_work(installed):
    """The test that debian/tests holds, by Debian's program for it. This root
    is the system of its own that it wants, has what it depends on, and has no
    network to ask for more."""
    for path in (Path("/etc/apt/sources.list"),
                 Path("/etc/apt/sources.list.d")):
        if path.exists():
            shutil.move(path, workdir("apt"))
    place = workdir("tested")
    run("tar", "-C", place, "-xzf", TARBALL)
    said = run("autopkgtest", "--ignore-restrictions=isolation-machine",
               "--no-built-binaries", place / ("smtpusers-" + VERSION),
               "--", "null",
               env={**ENVIRONMENT, "PYTHONDONTWRITEBYTECODE": "1"})
    assert "demo: everything is as it should be\n" in said
    assert re.search(r"^demo +PASS$", said, re.MULTILINE)


def test_installed_once_more(installed):
    put(*installed.paths())
    assert run("dpkg", "--audit") == ""


def test_nothing_is_left(purged):
    assert purged <= OF_ACCOUNTS
