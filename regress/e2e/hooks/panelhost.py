# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""A panel that is told of events, a sendmail that keeps what it is given, and
smtpusers-hook deliver between them and Redis."""

import hashlib
import hmac
import http.server
import json
import os
import ssl
import threading

from cli import package
from hooks.panelsite import NOBODY, kill
from redisserver import ReplyError, wait_until

SECRET = "Signs-for-Panel-5-and-some-more-letters"

SENDMAIL = """#!/bin/sh
cd %(box)s || exit 75
read what <%(box)s/how
case $what in
fail) echo "no room" >&2; exit 75 ;;
hang) : >%(box)s/hangs; exec sleep 1000 ;;
esac
name=$(mktemp %(box)s/tmp.XXXXXXXX) || exit 75
{ printf '%%s\\n' "$*"; cat; } >"$name"
mv "$name" "%(box)s/mail.${name##*.}"
"""


class Panel:
    """An HTTPS server. answer(event) is the status that an event gets, or
    what does all of it: a callable that has the handler."""

    def __init__(self, tls=None):
        self.had = []           # events, in order
        self.headers = []
        self.answer = lambda event: 200
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      self.handler())
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = "http://127.0.0.1:%d/told" % self.port
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket,
                                                     server_side=True)
            self.url = "https://localhost:%d/told" % self.port
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()

    def handler(self):
        panel = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                event = json.loads(body)
                assert self.path == "/told"
                assert is_signed(self.headers, body)
                how = panel.answer(event)
                panel.headers.append(self.headers)
                panel.had.append(event)
                if callable(how):
                    how(self)
                else:
                    self.reply(how)

            def reply(self, status, **headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_):
                pass
        return Handler

    def kinds(self):
        return [event.get("kind") for event in self.had]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def is_signed(headers, body):
    text = headers["Smtpusers-Timestamp"].encode() + b"." + body
    return headers["Smtpusers-Signature"] == "sha256=" + hmac.new(
        SECRET.encode(), text, hashlib.sha256).hexdigest()


class Deliverer:
    """Configured with sections {name: keys}; logged in with the rights that
    setup prints."""

    def __init__(self, site, **sections):
        self.site = site
        self.processes = []
        self.log = site.directory / "deliver.log"
        self.box = site.directory / "box"
        self.box.mkdir(exist_ok=True)
        self.box.chmod(0o777)
        self.sendmail = site.directory / "sendmail"
        self.sendmail.write_text(SENDMAIL % {"box": self.box})
        self.sendmail.chmod(0o755)
        self.mailing("keep")
        self.grant(site.server)
        site.configure(sections={
            "deliver " + name: {**self.defaults(keys), **keys}
            for name, keys in sections.items()})

    def defaults(self, keys):
        defaults = {"timeout": 2, "retry": 3}
        if "url" in keys:
            return {**defaults,
                    "secret_file": self.site.secret("panel", SECRET)}
        return {**defaults, "sendmail": self.sendmail,
                "sender": "relay@relay.example"}

    def grant(self, server):
        server.cli(*package("provision.acl").acl_rule(
            "smtp:", "deliver", "deliver", ">word"))
        password = self.site.directory / "password"
        password.write_text("word\n")
        self.site.relay(redis_user="deliver", redis_password_file=password)

    def mailing(self, how):
        (self.box / "how").write_text(how + "\n")

    def start(self):
        with open(self.log, "ab") as log:
            process = self.site.start(self.site.program, "deliver",
                                      stdout=log, stderr=log)
        self.processes.append(process)
        return self

    def fails(self):
        result = self.site.run(self.site.program, "deliver")
        assert result.returncode == 78, result.stderr
        return result.stderr.decode()

    def said(self):
        return self.log.read_text()

    def kill(self):
        kill(self.processes.pop(0))

    def stop(self):
        """That it was well until now, and told nobody."""
        for process in self.processes:
            assert process.poll() is None, self.said()
            kill(process)
        self.processes = []
        said = self.said() if self.log.exists() else ""
        assert SECRET not in said and "Traceback" not in said, said
        self.site.server.cli("ACL", "DELUSER", "deliver")

    def mails(self):
        return [path.read_text() for path in sorted(
            self.box.glob("mail.*"), key=lambda path: path.stat().st_mtime_ns)]

    def pending(self, group):
        """How many events of the group are not acknowledged."""
        return next((row["pending"] for row in self.groups()
                     if row["name"] == group), 0)

    def groups(self):
        """None where there is no stream."""
        try:
            rows = self.site.server.cli("XINFO", "GROUPS", "smtp:events")
        except ReplyError:
            return []
        return [dict(zip(row[::2], row[1::2])) for row in rows]

    def settled(self, group):
        """All that was added is out of the way."""
        def done():
            return any(row["name"] == group and row["pending"] == 0 and
                       row["lag"] == 0 for row in self.groups())
        wait_until(done, 90, "the events to be delivered")


def add(server, ident="*", **fields):
    words = [word for pair in fields.items() for word in pair]
    return server.cli("XADD", "smtp:events", ident, *words)


def owned(path):
    os.chown(path, NOBODY, NOBODY)
    return path
