# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The sample for OpenBSD's httpd, which Debian does not have: what httpd sends
for it, to fcgiwrap as the sample starts it."""

import re
import shlex
import subprocess

import pytest

from fastcgi import ask
from places import PATIENCE
from redisserver import wait_until
from reportsite import FIELDS, ID
from webservers import SAMPLES

TEXT = (SAMPLES / "httpd.conf").read_text()
ADDRESS, PORT = re.search(r'socket tcp (\S+) (\d+)\n', TEXT).groups()


def strings(option):
    """What is said behind it, in words."""
    return [shlex.split(line) for line in re.findall(
        r"^\t+%s (.*)$" % option, TEXT, re.MULTILINE)]


def sent(query, method="GET"):
    """The variables that count, in httpd's order. It takes the path of the
    request to be a file below the root, finds no such file, and has the root
    itself for the program."""
    (root,), = strings("root")
    return [("PATH_INFO", "/report"), ("SCRIPT_NAME", ""),
            ("SCRIPT_FILENAME", root), ("QUERY_STRING", query),
            ("DOCUMENT_ROOT", root), ("HTTP_ACCEPT", "text/html"),
            *map(tuple, strings("param")), ("REQUEST_METHOD", method)]


@pytest.fixture(scope="module")
def wrap(cgi):
    """It listens here, since 192.0.2.25 is nobody's."""
    command, = re.findall(r"^#\t(fcgiwrap (?:.*\\\n)?.*)$", TEXT,
                          re.MULTILINE)
    words = shlex.split(re.sub(r"\\\n#", "", command).replace(
        ADDRESS, "127.0.0.1"))
    with subprocess.Popen(["setpriv", "--reuid", "www-data", "--regid",
                           "www-data", "--clear-groups", *words],
                          stdin=subprocess.DEVNULL) as process:
        address = ("127.0.0.1", int(PORT))
        wait_until(lambda: listens(address), PATIENCE, "fcgiwrap to listen")
        yield address
        process.terminate()


def listens(address):
    try:
        return ask(address, sent("")) != ""
    except ConnectionRefusedError:
        return False


def test_a_report(wrap):
    page = ask(wrap, sent("id=%s&auth=alice" % ID))
    assert page.startswith("Status: 200 ") and FIELDS["source"] in page
    assert ask(wrap, sent("id=1&auth=alice")).startswith("Status: 404 ")
    assert ask(wrap, sent("", "POST")).startswith("Status: 405 ")


def test_nothing_else_is_run(wrap):
    params = [(name, "/usr/bin/env" if name == "SCRIPT_FILENAME" else value)
              for name, value in sent("")]
    assert ask(wrap, params).startswith("Status: 403 ")
