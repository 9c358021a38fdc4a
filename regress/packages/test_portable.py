# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What another system has to write anew is in two files, and what is compiled
against another C library is compiled without a word."""

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from places import SOURCE, build, workdir

SOURCES = sorted(path for name in ("lib", "filter", "table", "web")
                 for path in (SOURCE / name).rglob("*.[ch]"))
OF_LINUX = re.compile(
    r"""^\#include\ <(linux/|asm/|seccomp\.h|sys/(auxv|epoll|eventfd|fsuid|
        inotify|prctl|sendfile|signalfd|syscall|sysinfo|sysmacros|timerfd|
        xattr)\.h) | "/(proc|sys)/ | \b(gettid|syscall|unshare|prctl)\(""",
    re.MULTILINE | re.VERBOSE)

# What is taken from outside musl; its own headers come first.
INCLUDE, MULTIARCH = Path("/usr/include"), \
    Path("/usr/include/%s-linux-gnu" % os.uname().machine)
LIBRARIES = ("asm-generic", "linux", "bsd", "asm", "event2", "hiredis", "spf2",
             "unistring", "openssl", "confuse.h", "idn2.h",
             "seccomp.h", "seccomp-syscalls.h", "uthash.h", "unicase.h",
             "unictype.h", "uninorm.h", "unistr.h", "unitypes.h")
# Debian's package leaves this one out.
CRYPT = """struct crypt_data { int initialized; char room[256]; };
char *crypt_r(const char *, const char *, struct crypt_data *);
"""
FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-DLIBBSD_OVERLAY", "-O2",
         "-DSMTPUSERS_VERSION=\"0\"", "-Wall", "-Wextra", "-Wshadow",
         "-Wmissing-prototypes", "-Wstrict-prototypes", "-Werror",
         *("-I" + name for name in ("lib", "filter", "filter/spf", "table",
                                    "web")))


def test_what_is_of_linux_is_in_two_files():
    found = {str(path.relative_to(SOURCE)) for path in SOURCES
             if OF_LINUX.search(path.read_text())}
    assert found == {"lib/sandbox.c", "lib/self.c"}


@pytest.fixture(scope="module")
def headers():
    """Those of the libraries, without those of Debian's own C library."""
    place = workdir("headers")
    for name in LIBRARIES:
        for path in (INCLUDE / name, MULTIARCH / name):
            if path.is_dir():
                (place / name).mkdir(exist_ok=True)
                for file in path.iterdir():
                    (place / name / file.name).symlink_to(file)
            elif path.exists():
                (place / name).symlink_to(path)
    assert {path.name for path in place.iterdir()} == set(LIBRARIES)
    (place / "crypt.h").write_text(CRYPT)
    return place


def test_musl(headers):
    def compiled(path):
        return subprocess.run(
            ["musl-gcc", *FLAGS, "-isystem", headers / "bsd", "-isystem",
             headers, "-Wa,-I%s" % build(), "-c", "-o",
             "/dev/null", path], cwd=SOURCE, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    files = [path for path in SOURCES if path.suffix == ".c"]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        found = list(pool.map(compiled, files))
    said = "".join(done.stdout for done in found)
    assert "error:" not in said and said == ""
    assert {done.returncode for done in found} == {0}
    assert len(files) > 60
