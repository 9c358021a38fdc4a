# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpusers-hooks(8): what the manual page says to type, and what it says
there is."""

import json
import re
import subprocess

import pytest

from hooks.panelsite import modules
from hooks.receiver import Receiver
from places import PATIENCE, SOURCE
from redisserver import wait_until

PAGE = (SOURCE / "scripts" / "smtpusers-hooks.8").read_text()
HOOKS = SOURCE / "scripts" / "hooks"


@pytest.fixture
def library(prefix):
    """The installed modules."""
    yield from modules(prefix)


def example(words):
    """The one display of the page that these words are in."""
    displays = [part.partition("\n.Ed\n")[0] for part in
                PAGE.split(".Bd -literal -offset indent\n")[1:]]
    found = [text for text in displays if words in text]
    assert len(found) == 1
    return found[0].replace("\\e", "\\")


def run(text, **paths):
    """An example, with directories of the test's in place of the host's."""
    for old, new in paths.items():
        assert old in text
        text = text.replace(old, str(new))
    return subprocess.run(["/bin/sh", "-euc", text], check=True, cwd="/",
                          capture_output=True,
                          timeout=PATIENCE).stdout.decode()


def test_the_script_is_put_in_place(site):
    """For both panels, beside what is there already."""
    receiver = Receiver(site).start()
    site.tell(receiver)
    root = site.directory / "root"
    custom = root / "usr/local/directadmin/scripts/custom"
    cpanel = root / "usr/local/cpanel"
    for directory in (custom, cpanel / "bin", cpanel / "3rdparty/bin",
                      root / "etc/cron.d"):
        directory.mkdir(parents=True)
    (custom / "domain_create_post.sh").write_text("somebody else's\n")
    manage = cpanel / "bin" / "manage_hooks"
    manage.write_text('#!/bin/sh\necho "$1 $2"\nexec "$3" --describe\n')
    manage.chmod(0o755)
    for panel in ("directadmin", "cpanel"):
        result = site.run(site.notify, "install", panel, root)
        assert (result.returncode, result.stderr) == (0, b"")
    path = cpanel / "3rdparty" / "bin" / "smtpusers-notify-cpanel"
    assert b"add script\n[" in result.stdout
    assert b'"hook": "%s"' % bytes(path) in result.stdout
    assert (root / "etc/cron.d/smtpusers-notify").read_text() == (
        "* * * * * root %s -f %s send\n" % (site.notify, site.notify_file))
    result = site.run(path, stdin=site.cpanel_input("accounts_create"))
    assert result.stdout == b"1 stored\n"
    installed = sorted(custom.glob("*/*.sh"))
    assert {path.name for path in installed} == {"smtpusers.sh"}
    for path in installed:
        result = site.run(path, env=site.directadmin_environment(
            path.parent.name))
        assert (result.returncode, result.stderr) == (0, b"")
        listed = site.run(site.notify, "list").stdout.decode()
        assert path.parent.name in listed or not site.unsent()
    site.settle()
    assert site.refused() == site.bad() == []
    receiver.stop()


def test_a_sender_in_a_shell(site):
    receiver = Receiver(site).start()
    said = run(example("Smtpusers-Timestamp"), **{
        "/etc/smtpusers-hooks.secret": site.directory / "secret",
        "127.0.0.1:8025": "%s:%d" % receiver.address})
    assert said == '{"status": "accepted"}\n'
    wait_until(lambda: site.domains() == {"example.org"}, 20, "the domain")
    receiver.stop()


def test_the_page_names_all_there_is(library):
    config, events, cpanel, directadmin = map(library, (
        "config", "events", "cpanel", "directadmin"))
    keys = [key for _, key, _, _ in config.KEYS]
    keys += [key for rows in config.SECTION_KEYS.values()
             for key, _, _ in rows]
    for word in (*keys, *events.NEEDS, *notify_keys()):
        assert ".It Cm %s\n" % word in PAGE
    for word in (*directadmin.HOOKS, *(event for _, event, _ in cpanel.HOOKS),
                 *(field for field in events.FIELDS
                   if field not in ("account", "domain"))):
        assert word in PAGE


def notify_keys():
    """What its sample names, which is all that it takes."""
    script = (HOOKS / "smtpusers-notify").read_text()
    taken, = re.findall(r"\n\t\t((?:\w+ \| )+\\\n.*)\) ;;", script)
    sample = (HOOKS / "smtpusers-notify.conf.sample").read_text()
    keys = re.findall(r"^#?(\w+) = ", sample, re.MULTILINE)
    assert sorted(re.findall(r"\w+", taken)) == sorted(keys)
    return keys


def test_the_script_has_the_hooks_that_the_receiver_knows(site, library):
    script = (HOOKS / "smtpusers-notify").read_text()
    names, = re.findall(r'\nDIRECTADMIN_HOOKS="([^"]*)"', script)
    assert set(names.split()) == set(library("directadmin").HOOKS)
    described = json.loads(site.run(site.notify, "--describe").stdout)
    assert [(hook["category"], hook["event"], hook["stage"])
            for hook in described] == library("cpanel").HOOKS


def test_the_sample_has_every_key_at_its_default(site, library):
    config = library("config")
    sample = site.prefix / "etc" / "smtpusers-hooks.conf.sample"
    found = vars(config.read_config(str(sample)))
    expected = vars(config.read_config("/nonexistent"))
    for values in (found, expected):
        values["servers"] = {name: vars(server) for name, server
                             in values["servers"].items()}
    assert found == expected
    assert found["config"] == str(site.prefix / "etc" / "smtpusers.conf")
    text = sample.read_text()
    for _, key, _, _ in config.KEYS:
        assert text.count("\n%s =" % key) == 1


def test_make_install_installs_the_hooks(prefix):
    said = subprocess.run(
        ["make", "-n", "-C", str(SOURCE), "install", "DESTDIR=/tmp/dest",
         "B=/tmp/none"], check=True, capture_output=True).stdout.decode()
    assert "/tmp/dest/usr/local/sbin/smtpusers-hook" in said
    for path in prefix.rglob("*"):
        if path.is_file() and "build" not in path.parts:
            text = path.read_text(errors="replace")
            for name in ("SBINDIR", "DATADIR", "SYSCONFDIR", "VERSION"):
                assert "@%s@" % name not in text, path
