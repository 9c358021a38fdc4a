# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Wrong command lines of a hurried operator: what is said names the right one."""

import pytest

from cli import EX_DATAERR, EX_NOUSER, EX_USAGE, Smtpusers

WRONG = [
    ("alow alice", EX_USAGE, "alow: no command of smtpusers: is allow meant?"),
    ("user add alice", EX_USAGE,
     "user: no command of smtpusers: smtpusers -h lists all"),
    ("domain alice add a.example", EX_USAGE,
     "alice: no action of smtpusers domain: smtpusers domain -h lists all"),
    ("source ad alice 192.0.2.1", EX_USAGE,
     "ad: no action of smtpusers source: is add meant?"),
    ("set alice quta 5", EX_USAGE,
     "quta: no field that can be set: is quota meant?"),
    ("set alice colour 5", EX_USAGE,
     "colour: no field that can be set: account, mode, status, "),
    ("set alice password x", EX_USAGE,
     "password: is changed by smtpusers passwd alice"),
    ("set alice ips 192.0.2.1", EX_USAGE,
     "ips: is changed by smtpusers source add alice"),
    ("set alice ip_auth 192.0.2.1", EX_USAGE,
     "ip_auth: is changed by smtpusers ipauth set alice"),
    ("account set acme domains a.example", EX_USAGE,
     "domains: is changed by smtpusers account domain add acme"),
    ("set alice mode everything", EX_DATAERR,
     "everything: not one of default, all, any"),
    ("show nobody", EX_NOUSER, "nobody: no such user"),
]


@pytest.mark.parametrize("line, code, said", WRONG,
                         ids=[line for line, *_ in WRONG])
def test_wrong_words(redis, tmp_path, line, code, said):
    cmd = Smtpusers(redis, tmp_path)
    cmd.ok("add", "alice", "--no-password")
    cmd.ok("account", "add", "acme")
    assert "smtpusers: " + said in cmd.fails(code, *line.split())
