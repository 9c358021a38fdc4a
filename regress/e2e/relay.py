# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""A real smtpd with its own spool, sockets and configuration."""

import os
import re
import signal
import socket
import subprocess

from places import LIBEXEC, PATIENCE, free_port, program, workdir
from redisserver import wait_until

# Each smtpd has /var/spool/smtpd and /var/run/smtpd.sock compiled in, so each
# gets a mount namespace in which these are its own.
ENTER = """
set -e
if [ -n "$3" ]; then
	mount --bind "$3" /var/spool
else
	mount -t tmpfs -o mode=0755 none /var/spool
fi
log=/run/dev-log
if [ -S "$log" ]; then
	touch "$1/dev-log"
	mount --bind "$log" "$1/dev-log"
fi
mount -t tmpfs -o mode=0755 none /run
if [ -S "$1/dev-log" ]; then
	touch "$log"
	mount --bind "$1/dev-log" "$log"
fi
mount -t tmpfs -o mode=0755 none /etc/ssl/certs
cp "$1/ca.pem" /etc/ssl/certs/ca-certificates.crt
mount --bind "$1/resolv.conf" /etc/resolv.conf
if [ -n "$2" ]; then
	touch /run/libexec
	mount -t tmpfs -o mode=0755 none /mnt
	cp -a %(libexec)s/. /mnt/
	ln -sf "$2" /mnt/table-smtpusers
	mount --move /mnt %(libexec)s
fi
shift 3
exec "$@"
""" % {"libexec": LIBEXEC}

# Swallows what sandboxed users send; behind virtual is who runs the command.
SANDBOX = [
    'action "sandbox" mda "cat >/dev/null"'
    ' virtual { "@sandbox.invalid" = nobody }',
    'match from any for domain "sandbox.invalid" action "sandbox"']

TROUBLE = re.compile(
    rb"AddressSanitizer|LeakSanitizer|UndefinedBehavior|runtime error:"
    rb"|terminated; signal|exited abnormally|table-proc: exiting"
    rb"|fatal(x)?: |lost processor|processor .* exited", re.IGNORECASE)


LOOPBACK = "DNS:mx.test,DNS:localhost,IP:127.0.0.1,IP:::1"


def certificate(directory, names=LOOPBACK):
    """A self-signed certificate, for every address of loopback."""
    key, cert = directory / "key.pem", directory / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=mx.test", "-addext",
         "subjectAltName=" + names,
         "-keyout", key, "-out", cert],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    key.chmod(0o600)
    return cert, key


class Relay:
    """An smtpd on loopback that sends everything on to a sink.

    conf is the text of smtpusers.conf; without one, users are a static
    table {name: hash} and there is no filter. The spool is in memory unless
    a directory is given.
    """

    # Ours that smtpd runs where there is a filter.
    programs = ("table-smtpusers", "filter-smtpusers")

    def __init__(self, directory, cert, key, sink_port, conf=None,
                 static=None, kind="san", socket_filter=False, rules=None,
                 spool=""):
        self.dir = directory
        self.cert, self.key = cert, key
        self.sink_port = sink_port
        self.kind = kind
        self.static = static or {}
        self.socket_filter = socket_filter
        self.rules = rules
        self.spool = spool
        self.trace = []
        self.submission = free_port()
        self.smtps = free_port()
        self.conf_path = self.dir / "smtpusers.conf"
        self.log_path = self.dir / "smtpd.log"
        self.reports = self.dir / "reports"
        self.process = None
        self.filtered = conf is not None
        if self.filtered:
            self.conf_path.write_text(conf)
        (self.dir / "ca.pem").write_bytes(self.cert.read_bytes())
        # Nobody serves names there: they fail at once instead of timing out.
        (self.dir / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        self.reports.mkdir(exist_ok=True)
        self.reports.chmod(0o1777)

    def smtpd_conf(self):
        # One connection for all mail: smtpd pauses before it makes another.
        lines = ["mta limit " + limit for limit in (
            "session-mail-max 100000", "session-keepalive 600",
            "reconn-delay-route 0", "conn-delay-route 0",
            "conn-delay-relay 0")]
        lines += ['pki "mx" cert "%s"' % self.cert,
                  'pki "mx" key "%s"' % self.key]
        use = ""
        if self.filtered:
            lines.append('table users "smtpusers:%s"' % self.conf_path)
            lines.append('filter users proc-exec "%s -f %s"' % (
                program("filter-smtpusers", self.kind), self.conf_path))
            use = " filter users"
        else:
            pairs = ['"%s" = "%s"' % pair for pair in self.static.items()]
            lines.append("table users { %s }" % ", ".join(pairs))
        if self.socket_filter:
            lines.append("listen on socket filter users")
        for port, tls in ((self.submission, "tls-require"),
                          (self.smtps, "smtps")):
            lines.append('listen on lo port %d %s pki "mx" auth-optional'
                         ' <users>%s' % (port, tls, use))
        lines.append('action "relay" relay host smtp://127.0.0.1:%d'
                     % self.sink_port)
        sources = "<users>" if self.filtered else "{ 127.0.0.2, ::1 }"
        lines.extend(self.rules or SANDBOX + [
            'match auth from any for any action "relay"',
            'match from src %s for any action "relay"' % sources])
        return "\n".join(lines) + "\n"

    def launch(self, options="-dv"):
        """Start smtpd without waiting for what becomes of it."""
        path = self.dir / "smtpd.conf"
        path.write_text(self.smtpd_conf())
        path.chmod(0o600)
        reports = "log_path=%s/san:exitcode=99" % self.reports
        environ = dict(os.environ, ASAN_OPTIONS=reports,
                       UBSAN_OPTIONS="print_stacktrace=1:" + reports)
        table = ""
        if self.filtered and self.kind != "installed":
            table = program("table-smtpusers", self.kind)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private",
                 "sh", "-c", ENTER, "sh", self.dir, table, self.spool,
                 "smtpd", options, *self.trace, "-f", path],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=environ)
        return self

    def start(self, timeout=PATIENCE):
        self.launch()
        try:
            wait_until(self._listens, timeout, "smtpd to listen")
        except BaseException:
            self.stop()
            raise
        return self

    def _listens(self):
        if self.process.poll() is not None:
            raise AssertionError("smtpd ended with %d:\n%s" % (
                self.process.returncode, self.log_tail()))
        return greets(self.submission)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def stop(self, timeout=PATIENCE):
        if self.process is None:
            return
        children = self.descendants()
        self.process.terminate()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        try:
            wait_until(lambda: not any(map(alive, children)), timeout,
                       "smtpd's children to end")
        except AssertionError:
            for pid in filter(alive, children):
                os.kill(pid, signal.SIGKILL)
            raise

    def enter(self, *command, **options):
        """Run a command where this smtpd's socket and spool are."""
        return subprocess.run(
            ["nsenter", "--target", str(self.process.pid), "--mount",
             "--root", *map(str, command)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def ctl(self, *args):
        return self.enter("smtpctl", *args)

    def log(self):
        return self.log_path.read_bytes().decode("utf-8", "replace")

    def log_tail(self):
        return "\n".join(self.log().splitlines()[-30:])

    def descendants(self):
        """Every process below smtpd, by pid, in no order."""
        found, rows = {self.process.pid}, parents()
        while more := {pid for pid, parent in rows.items()
                       if parent in found} - found:
            found |= more
        return found - {self.process.pid}

    def pid_of(self, name):
        """The process below smtpd whose program is name, not one that this
        has started."""
        def search():
            found = {pid for pid in self.descendants()
                     if executable(pid).endswith("/" + name)}
            rows = parents()  # afterwards: it knows them all
            return [pid for pid in found if rows.get(pid) not in found]
        return wait_until(search, 10, name)[0]

    def check(self, secrets=()):
        """Fail if anything died, complained or told a password."""
        self.check_traces(secrets)
        assert self.process.poll() is None, "smtpd ended:\n" + self.log_tail()
        if self.filtered:
            for name in self.programs:
                self.pid_of(name)

    def check_traces(self, secrets=()):
        found = [path.read_text() for path in self.reports.iterdir()]
        assert not found, "\n".join(found)
        log = self.log_path.read_bytes()
        assert not TROUBLE.search(log), self.log_tail()
        for secret in secrets:
            assert secret not in log, "the log holds a password"


def shared(conf, tls, sink):
    """A relay for many tests, which start it; ended behind the last."""
    relay = Relay(workdir("relay"), *tls, sink.port, conf)
    relay.redis_pid = None
    yield relay
    relay.stop()
    if relay.log_path.exists():
        relay.check_traces()


def greets(port):
    """Whether smtpd says its banner, as it does once its filter is ready."""
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            return client.recv(3) == b"220"
    except ConnectionError:
        return False


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def parents():
    """{pid: parent} of every process there is."""
    rows = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % name) as stat:
                fields = stat.read().rpartition(")")[2].split()
            rows[int(name)] = int(fields[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return rows


def executable(pid):
    """Where it was started from, be it that another is built there by now."""
    try:
        return os.readlink("/proc/%d/exe" % pid).removesuffix(" (deleted)")
    except (FileNotFoundError, ProcessLookupError):
        return ""
