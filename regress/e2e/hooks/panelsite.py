# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""A relay with its hooks as make install leaves them, and a server with a
panel that tells it by smtpusers-notify."""

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from places import SOURCE, configuration, workdir
from cli import FILTER, package
from quotas import LUA
from redisserver import wait_until

DATA = Path(__file__).resolve().parent
SECRET = "Never-Tell-7"
NOBODY = 65534

PACKAGES = ("smtpusers_hooks", "provision")


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
    ours = {name: sys.modules.pop(name) for name in list(sys.modules)
            if name.partition(".")[0] in PACKAGES}
    places = [str(prefix / "share" / "smtpusers" / "hooks"),
              str(prefix / "share" / "smtpusers")]
    path = sys.path[:]
    # The tests have a module of one of their names.
    sys.path[:] = places + [place for place in path
                            if not Path(place, "provision.py").exists()]
    yield lambda name: importlib.import_module("smtpusers_hooks." + name)
    sys.path[:] = path
    for name in [name for name in sys.modules
                 if name.partition(".")[0] in PACKAGES]:
        del sys.modules[name]
    sys.modules.update(ours)


class Site:
    """The installed hooks, with a spool and a configuration of the test's.

    The panel's side has a spool of its own, and scripts of the shell that the
    test asks for."""

    def __init__(self, prefix, server, shell="/bin/sh", **keys):
        self.prefix = prefix
        self.server = server
        self.directory = workdir("site")
        self.directory.chmod(0o777)
        self.spool = self.directory / "spool"
        self.spool.mkdir(mode=0o700)
        os.chown(self.spool, NOBODY, NOBODY)
        self.program = prefix / "sbin" / "smtpusers-hook"
        self.hooks = prefix / "share" / "smtpusers" / "hooks"
        self.file = prefix / "etc" / "smtpusers-hooks.conf"
        self.users = self.directory / "users"
        self.users.mkdir()
        self.outbox = self.directory / "outbox"
        self.notify_file = prefix / "etc" / "smtpusers-notify.conf"
        self.custom = self.directory / "custom"
        self.receiver = None
        self.put_scripts(shell)
        self.password = self.secret("redis-password", "word")
        self.grant()
        self.relay()
        self.configure(**keys)

    def grant(self):
        """What a server has lost that was started again: the functions, and
        a user with the rights that setup prints."""
        self.server.cli("FUNCTION", "FLUSH")
        self.server.cli("FUNCTION", "LOAD", LUA.read_text())
        self.server.cli(*package("provision.acl").acl_rule(
            "smtp:", "hooks", "smtpusers-hooks", ">word"))

    def relay(self, url=None, **keys):
        """The relay's configuration, with this Redis."""
        (self.directory / "smtpusers.conf").write_text(configuration(**{
            "redis": url or self.server.url, "redis_user": "smtpusers-hooks",
            "redis_password_file": self.password, **keys}))

    def away(self):
        """There is no Redis for the hooks, until relay() says otherwise."""
        self.relay("unix:%s/none.sock" % self.directory)

    def secret(self, name, text):
        """A file with it that the receiver may read."""
        path = self.directory / name
        if not path.exists():
            path.write_text(text + "\n")
            path.chmod(0o640)
        os.chown(path, NOBODY, NOBODY)
        return path

    def configure(self, plans=None, webhook=None, sections=None, **hooks):
        """What is not said here stays as it was said before."""
        self.plans = getattr(self, "plans", ()) if plans is None else plans
        self.webhook = (getattr(self, "webhook", ())
                        if webhook is None else webhook)
        self.sections = (getattr(self, "sections", {})
                         if sections is None else sections)
        hooks = {"spool": self.spool,
                 "config": self.directory / "smtpusers.conf", **hooks}
        sections = {"hooks": hooks, "plans": dict(self.plans),
                    "webhook": dict(self.webhook), **self.sections}
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_text("".join(
            "[%s]\n" % name + "".join("%s = %s\n" % item
                                      for item in keys.items())
            for name, keys in sections.items()))

    def reconfigure(self, **keys):
        """The receiver reads it when it starts."""
        self.configure(**keys)
        self.tell(self.receiver.restart())

    # Running things

    def environment(self):
        return {**os.environ, "SMTPUSERS_FILTER": str(FILTER)}

    def start(self, *argv, **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                   "stderr": subprocess.PIPE, "cwd": "/",
                   "env": self.environment(), **options}
        return subprocess.Popen([str(word) for word in argv], **options)

    def run(self, *argv, stdin=b"", env=None):
        return subprocess.run(
            [word if isinstance(word, bytes) else str(word)
             for word in argv], input=stdin, env=env or self.environment(),
            capture_output=True, cwd="/", timeout=120, check=False)

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

    # The panel's side

    def put_scripts(self, shell):
        """The script, by this shell, under the names that the panel calls."""
        self.notify = self.directory / "smtpusers-notify"
        text = (self.hooks / "smtpusers-notify").read_text()
        assert text.startswith("#!/bin/sh\n")
        self.notify.write_text(text.replace("/bin/sh", shell, 1))
        self.notify.chmod(0o755)
        (self.directory / "notify-cpanel").symlink_to(self.notify)

    def directadmin_hook(self, hook):
        directory = self.custom / hook
        if not directory.exists():
            directory.mkdir(parents=True)
            (directory / "smtpusers.sh").symlink_to(self.notify)
        return directory / "smtpusers.sh"

    def tell(self, receiver, **keys):
        """The panel tells this receiver."""
        self.receiver = receiver
        keys = {"url": "http://127.0.0.1:%d/event" % receiver.address[1],
                "secret_file": self.secret("secret", ""),
                "spool": self.outbox, "cpanel_users": self.users,
                "directadmin_users": self.directory / "data-users",
                "host": "localhost", **keys}
        self.notify_file.write_text("".join(
            "%s = %s\n" % item for item in keys.items()))

    def directadmin(self, hook, **changes):
        return self.run(self.directadmin_hook(hook),
                        env=self.directadmin_environment(hook, **changes))

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
        return self.run(self.directory / "notify-cpanel", stdin=data)

    def send(self, code=0):
        result = self.run(self.notify, "send", env={})
        assert result.returncode == code, result.stderr

    def settle(self):
        """All that was said is sent, and applied."""
        wait_until(lambda: not self.unsent() and not self.waiting(), 60,
                   "the events to be applied")

    def arrive(self, count=1):
        """So many events wait at the receiver, and are returned."""
        return wait_until(lambda: not self.unsent() and len(
            self.waiting()) == count and self.waiting(), 60, "the events")

    def unsent(self):
        """The messages of the panel's side that wait."""
        path = self.outbox / "new"
        return sorted(path.iterdir()) if path.is_dir() else []

    def refused(self):
        path = self.outbox / "bad"
        return sorted(path.iterdir()) if path.is_dir() else []

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

    def user_domains(self, name):
        return set(self.server.cli("SMEMBERS",
                                   "smtp:user:{%s}:domains" % name))

    def domains(self, name="alice"):
        found = self.account(name)
        return found[2] if found else None

    def snapshot(self):
        return {key: self.server.cli("DUMP", key)
                for key in self.server.cli("KEYS", "*")}

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
                if path.is_file() and path.name != "secret" and
                SECRET.encode() in path.read_bytes()]


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.communicate()
