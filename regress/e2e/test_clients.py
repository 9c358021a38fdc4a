# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Programs and libraries that people send mail with."""

import json
import os
import smtplib
import ssl
import subprocess
from urllib.parse import quote

import pytest

from places import PATIENCE
from session import b64, simple

PASSWORD = "MixedCase: p|w Ü1"


class Case:
    """One try of one client: where to, who, and what it shall write."""

    def __init__(self, relay, implicit, directory, password=PASSWORD):
        self.relay = relay
        self.implicit = implicit
        self.port = relay.smtps if implicit else relay.submission
        self.password = password
        self.dir = directory
        self.ca = str(relay.cert)

    def write(self, name, text):
        path = self.dir / name
        path.write_text(text)
        path.chmod(0o600)
        return str(path)


def run(command, mail="", **environ):
    result = subprocess.run(
        command, input=mail.replace("\r\n", "\n"), text=True, timeout=PATIENCE,
        capture_output=True, env=dict(os.environ, **environ))
    return result.returncode == 0, result.stdout + result.stderr


def with_smtplib(case, mail):
    context = ssl.create_default_context(cafile=case.ca)
    try:
        if case.implicit:
            client = smtplib.SMTP_SSL("127.0.0.1", case.port, context=context)
        else:
            client = smtplib.SMTP("127.0.0.1", case.port)
            client.starttls(context=context)
        with client:
            # smtplib's own login() takes no password that is not ASCII.
            client.ehlo()
            code, said = client.docmd(
                "AUTH", "PLAIN " + b64("", "alice", case.password))
            if code != 235:
                return False, said
            client.sendmail("alice@example.org", ["bob@example.com"], mail)
    except (smtplib.SMTPException, UnicodeError) as error:
        return False, repr(error)
    return True, ""


def swaks(mechanism):
    def client(case, mail):
        tls = "--tls-on-connect" if case.implicit else "--tls"
        return run(
            ["swaks", "--server", "127.0.0.1", "--port", str(case.port), tls,
             "--tls-verify", "--tls-ca-path", case.ca,
             "--auth", mechanism, "--auth-user", "alice",
             "--from", "alice@example.org", "--to", "bob@example.com",
             "--data", "@" + case.write("mail", mail)],
            SWAKS_OPT_auth_password=case.password)
    return client


def curl(mechanism):
    def client(case, mail):
        scheme = "smtps" if case.implicit else "smtp"
        secret = case.password.replace("\\", "\\\\").replace('"', '\\"')
        config = case.write("curlrc", 'user = "alice:%s"\n' % secret)
        return run(
            ["curl", "--silent", "--show-error", "--ssl-reqd", "--cacert",
             case.ca, "--config", config, "--login-options",
             "AUTH=" + mechanism, "--mail-from", "alice@example.org",
             "--mail-rcpt", "bob@example.com", "--upload-file", "-",
             "%s://127.0.0.1:%d/client.test" % (scheme, case.port)], mail)
    return client


def msmtp(mechanism):
    def client(case, mail):
        secret = case.write("secret", case.password + "\n")
        config = case.write("msmtprc", "\n".join([
            "defaults", "account default", "host 127.0.0.1",
            "port %d" % case.port, "tls on",
            "tls_starttls %s" % ("off" if case.implicit else "on"),
            "tls_trust_file %s" % case.ca, "auth %s" % mechanism,
            "user alice", "from alice@example.org",
            'passwordeval "cat %s"' % secret, ""]))
        return run(["msmtp", "--file", config, "bob@example.com"], mail)
    return client


NODEMAILER = """
const nodemailer = require('nodemailer');
const options = JSON.parse(require('fs').readFileSync(0));
nodemailer.createTransport(options.transport).sendMail(options.mail)
    .then(info => console.log(info.response),
        error => { console.error(error.response); process.exit(1); });
"""


def nodemailer(mechanism):
    def client(case, mail):
        transport = {
            "host": "127.0.0.1", "port": case.port, "secure": case.implicit,
            "requireTLS": True, "authMethod": mechanism,
            "auth": {"user": "alice", "pass": case.password},
            "tls": {"ca": open(case.ca).read(), "servername": "localhost"}}
        options = {"transport": transport, "mail": {
            "envelope": {"from": "alice@example.org",
                         "to": ["bob@example.com"]}, "raw": mail}}
        return run(["node", "-e", NODEMAILER], json.dumps(options),
                   NODE_PATH="/usr/share/nodejs")
    return client


def s_nail(case, mail):
    scheme = "smtps" if case.implicit else "smtp"
    netrc = case.write("netrc", "")
    secret = quote(case.password, safe="")
    config = case.write("mailrc", "\n".join([
        "set v15-compat", "set tls-ca-file=%s" % case.ca,
        "set tls-ca-no-defaults", "set tls-verify=strict",
        "set smtp-use-starttls", "set smtp-auth=plain",
        "set sendwait", "set nosave", "set hostname=client.test",
        "set mta=%s://alice:%s@localhost:%d" % (scheme, secret, case.port),
        ""]))
    return run(["s-nail", "-:u", "-Sfrom=alice@example.org", "-s",
                "client", "bob@example.com"], mail.partition("\r\n\r\n")[2],
               MAILRC=config, NETRC=netrc, LC_ALL="C.UTF-8")


CLIENTS = {
    "smtplib": with_smtplib,
    "swaks-plain": swaks("PLAIN"), "swaks-login": swaks("LOGIN"),
    "curl-plain": curl("PLAIN"), "curl-login": curl("LOGIN"),
    "msmtp-plain": msmtp("plain"), "msmtp-login": msmtp("login"),
    "nodemailer-plain": nodemailer("PLAIN"),
    "nodemailer-login": nodemailer("LOGIN"),
    "s-nail": s_nail,
}


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "smtps"])
@pytest.mark.parametrize("name", CLIENTS)
def test_clients(relay, users, sink, tmp_path, name, implicit):
    users.add("alice", PASSWORD, "$2b$")
    mark = "%s-%s" % (name, implicit)
    case = Case(relay, implicit, tmp_path)
    sent, said = CLIENTS[name](case, simple(mark))
    assert sent, said
    message = sink.wait_for(mark.encode())
    assert message.sender == "alice@example.org"
    assert message.recipients == ["bob@example.com"]


@pytest.mark.parametrize("name", CLIENTS)
def test_clients_with_a_wrong_password(relay, users, sink, tmp_path, name):
    users.add("alice", PASSWORD)
    case = Case(relay, False, tmp_path, PASSWORD.swapcase())
    sent, said = CLIENTS[name](case, simple("wrong-word"))
    assert not sent
    assert not [m for m in sink.messages if b"wrong-word" in m.data]


@pytest.mark.parametrize("name", CLIENTS)
def test_clients_from_a_source_off_the_list(
        relay, users, sink, tmp_path, name):
    users.add("alice", PASSWORD, ips=["127.0.0.2"])
    sent, said = CLIENTS[name](Case(relay, False, tmp_path),
                               simple("off-the-list"))
    assert not sent
    assert not [m for m in sink.messages if b"off-the-list" in m.data]
