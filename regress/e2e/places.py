# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Where things are, and what every part of the harness needs."""

import itertools
import os
import socket
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
# Where smtpd looks for its programs, and web servers for theirs.
LIBEXEC = "/usr/libexec/opensmtpd"
CGI_BIN = "/usr/lib/cgi-bin"
REDIS7 = "/opt/redis7/redis-server"

# Seconds until what does not come has failed. It is a bound for failures only,
# and a busy machine comes nowhere near it.
PATIENCE = 120


def slack(seconds):
    """What may come on top of the seconds that something takes: that many on
    a machine with nothing else to do, more where others wait for each of its
    processors."""
    average, _, _, running, *_ = \
        Path("/proc/loadavg").read_text().replace("/", " ").split()
    wanted = max(float(average), int(running))
    return seconds * max(1, wanted / os.cpu_count())


REPORT_URL = "https://reports.example.net/"

# Addresses of the documentation prefix that the tests send from.
IPV6_SOURCES = ["2001:db8:25::%x" % n for n in range(1, 6)]


def suite():
    """The name of the Debian suite, as the Makefile names its build."""
    for line in Path("/etc/os-release").read_text().splitlines():
        key, _, value = line.partition("=")
        if key == "VERSION_CODENAME":
            return value.strip('"')
    return "native"


def build():
    return SOURCE / os.environ.get("B", "build/" + suite())


def program(name, kind="san"):
    """Of a build, or, where kind is installed, of Debian's packages."""
    if kind == "installed":
        return Path(CGI_BIN if name.endswith(".cgi") else LIBEXEC) / name
    return build() / kind / name


def workdir(name="smtpusers"):
    """A new directory that smtpd's users can look into."""
    path = Path(tempfile.mkdtemp(prefix=name + "-", dir="/tmp"))
    path.chmod(0o755)
    return path


PORTS = itertools.count(10000)


def free_port():
    """One that no connection of a client's is given meanwhile."""
    return next(filter(is_free, PORTS))


def is_free(port):
    try:
        for family, host in ((socket.AF_INET, ""), (socket.AF_INET6, "::")):
            with socket.socket(family) as probe:
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6,
                                     socket.IPV6_V6ONLY, 1)
                probe.bind((host, port))
    except OSError:
        return False
    return True


def isolated():
    """Whether this network leads nowhere: what is set up here stays here."""
    routes = Path("/proc/net/route").read_text().splitlines()
    return len(routes) < 2


def quoted(value):
    """A string as the configuration file wants it."""
    return '"%s"' % str(value).replace("\\", "\\\\").replace('"', '\\"')


# So that a busy machine is no failure of Redis.
PATIENT = {"redis_timeout": 10000}


def configuration(**keys):
    """The text of a configuration file; alarm={"sources": {"limit": 5}} is a
    section."""
    lines = []
    for kind, options in keys.pop("alarm", {}).items():
        lines.append("alarm %s { %s }\n" % (quoted(kind), " ".join(
            "%s = %s" % (key, quoted(str(value)))
            for key, value in options.items())))
    for key, value in {**PATIENT, **keys}.items():
        if isinstance(value, (list, tuple)):
            value = "{%s}" % ", ".join(quoted(item) for item in value)
        elif not isinstance(value, int):
            value = quoted(value)
        lines.append("%s = %s\n" % (key, value))
    return "".join(lines)
