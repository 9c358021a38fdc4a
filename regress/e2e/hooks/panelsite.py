# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""A host with a panel: the hooks as make install leaves them, their spool, and
the panel's side of them."""

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from places import SOURCE, configuration, workdir
from provision import FILTER, SCRIPT

DATA = Path(__file__).resolve().parent
SECRET = "Never-Tell-7"

# What stands in for smtpusers(8): the same, when and as the test says.
STAND_IN = """#!/bin/sh
cd %(directory)s || exit 99
printf '%%s\\n' "$*" >>commands
if [ -e status ]; then
	status=$(cat status)
	[ "$status" != 0 ] && { echo "made to fail" >&2; exit "$status"; }
fi
if [ -e fail-for ] && grep -qxF -e "$(cat fail-for)" <<END
$(printf '%%s\\n' "$@")
END
then
	echo "made to fail" >&2
	exit "$(cat fail-status)"
fi
step=$(wc -l <commands)
if [ "$(cat kill-before 2>/dev/null)" = "$step" ]; then
	rm kill-before
	kill -KILL "$PPID"
	exit 1
fi
if [ -e slow-for ] && grep -qxF -e "$(cat slow-for)" <<END
$(printf '%%s\\n' "$@")
END
then
	exec sleep 60
fi
if [ -e prints ]; then exec cat prints; fi
if [ -p gate ]; then echo "$$" >at-gate; read -r _ <gate; fi
SMTPUSERS_FILTER=%(filter)s %(script)s "$@"
status=$?
if [ "$(cat kill-after 2>/dev/null)" = "$step" ]; then
	rm kill-after
	kill -KILL "$PPID"
fi
exit "$status"
"""


def install():
    """make install-hooks, once; the directory that it installed to."""
    prefix = workdir("panel")
    subprocess.run(
        ["make", "-C", str(SOURCE), "install-hooks", "B=%s/build" % prefix,
         "PREFIX=%s" % prefix, "SYSCONFDIR=%s/etc" % prefix],
        check=True, stdout=subprocess.DEVNULL)
    return prefix


def modules(prefix):
    """What imports an installed module by its name, until it is resumed."""
    place = str(prefix / "share" / "smtpusers" / "hooks")
    sys.path.insert(0, place)
    yield lambda name: importlib.import_module("smtpusers_hooks." + name)
    sys.path.remove(place)
    for name in [name for name in sys.modules
                 if name.partition(".")[0] == "smtpusers_hooks"]:
        del sys.modules[name]


class Site:
    """The installed hooks, with a spool and a configuration of the test's."""

    def __init__(self, prefix, server, **keys):
        self.prefix = prefix
        self.server = server
        self.directory = workdir("site")
        self.spool = self.directory / "spool"
        self.program = prefix / "sbin" / "smtpusers-hook"
        self.hooks = prefix / "share" / "smtpusers" / "hooks"
        self.file = prefix / "etc" / "smtpusers-hooks.conf"
        self.users = self.directory / "users"
        self.users.mkdir()
        self.stand_in()
        (self.directory / "smtpusers.conf").write_text(configuration(
            redis=server.url, redis_timeout=300))
        self.configure(**keys)

    def stand_in(self):
        path = self.directory / "smtpusers"
        path.write_text(STAND_IN % {"directory": self.directory,
                                    "filter": FILTER, "script": SCRIPT})
        path.chmod(0o755)

    def configure(self, plans=(), webhook=(), **hooks):
        hooks = {"spool": self.spool, "wait": 60,
                 "smtpusers": self.directory / "smtpusers",
                 "config": self.directory / "smtpusers.conf",
                 "cpanel_users": self.users, **hooks}
        sections = {"hooks": hooks, "plans": dict(plans),
                    "webhook": dict(webhook)}
        self.file.write_text("".join(
            "[%s]\n" % name + "".join("%s = %s\n" % item
                                      for item in keys.items())
            for name, keys in sections.items()))

    # The stand-in's orders

    def order(self, name, text=""):
        (self.directory / name).write_text(text)

    def forget_order(self, name):
        (self.directory / name).unlink(missing_ok=True)

    def commands(self):
        path = self.directory / "commands"
        return path.read_text().splitlines() if path.exists() else []

    # Running things

    def start(self, *argv, **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                   "stderr": subprocess.PIPE, "cwd": "/", **options}
        return subprocess.Popen([str(word) for word in argv], **options)

    def run(self, *argv, stdin=b"", env=None):
        return subprocess.run(
            [word if isinstance(word, bytes) else str(word)
             for word in argv], input=stdin, env=env, capture_output=True,
            cwd="/", timeout=120, check=False)

    def ok(self, *words):
        result = self.run(self.program, *words)
        assert result.returncode == 0, result.stderr
        return result.stdout.decode()

    def drain(self, code=0):
        """What it said, having ended as it should."""
        result = self.run(self.program, "drain")
        assert result.returncode == code, result.stderr
        assert b"Traceback" not in result.stderr
        return result.stderr.decode()

    def event(self, *words):
        self.ok("event", *words)

    def directadmin(self, hook, **changes):
        result = self.run(self.directadmin_hook(hook),
                          env=self.directadmin_environment(hook, **changes))
        assert b"Traceback" not in result.stderr
        return result

    def directadmin_hook(self, hook):
        return self.hooks / "directadmin" / (hook + ".sh")

    def directadmin_environment(self, hook, **changes):
        """As documented, with values of the test's; None takes one out."""
        lines = (DATA / "directadmin" / (hook + ".env")).read_text()
        pairs = [line.partition("=")[::2] for line in lines.splitlines()
                 if not line.startswith("#")]
        environment = {**dict(pairs), "PATH": os.environ["PATH"], **changes}
        return {name: value for name, value in environment.items()
                if value is not None}

    def cpanel(self, name, **changes):
        """What the script printed, of a recorded call with other data."""
        return self.cpanel_says(self.cpanel_input(name, **changes))

    def cpanel_input(self, name, **changes):
        record = json.loads((DATA / "cpanel" / (name + ".json")).read_text())
        call = record["input"]
        arguments = call["data"].get("args")
        for field, value in changes.items():
            inside = arguments is not None and field in arguments
            (arguments if inside else call["data"])[field] = value
        return json.dumps(call).encode()

    def cpanel_says(self, data):
        result = self.run(self.hooks / "cpanel" / "smtpusers-hook-cpanel",
                          stdin=data)
        assert b"Traceback" not in result.stderr, result.stderr
        return result

    # What came of it

    def account(self, name="alice"):
        """Status, plan and domains; None where there is none."""
        key = "smtp:account:{%s}" % name
        flat = self.server.cli("HGETALL", key)
        if not flat:
            return None
        fields = dict(zip(flat[::2], flat[1::2]))
        return (fields.get("status"), fields.get("plan"),
                set(self.server.cli("SMEMBERS", key + ":domains")))

    def user(self, name, **fields):
        """An SMTP user, made by hand."""
        words = [word for item in fields.items() for word in item]
        self.server.cli("HSET", "smtp:user:{%s}" % name, *words)

    def user_field(self, name, field):
        return self.server.cli("HGET", "smtp:user:{%s}" % name, field)

    def domains(self, name="alice"):
        found = self.account(name)
        return found[2] if found else None

    def files(self, directory):
        path = self.spool / directory
        return sorted(path.iterdir()) if path.is_dir() else []

    def waiting(self):
        """One that is applied meanwhile waits no more."""
        found = []
        for path in self.files("new"):
            with contextlib.suppress(FileNotFoundError):
                found.append(json.loads(path.read_text()))
        return found

    def bad(self):
        return [json.loads(path.read_text()) for path in self.files("bad")]

    def said_secret(self):
        """Files of ours that hold the password which the panel let us see."""
        return [path for path in self.directory.rglob("*")
                if path.is_file() and SECRET.encode() in path.read_bytes()]


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.communicate()
