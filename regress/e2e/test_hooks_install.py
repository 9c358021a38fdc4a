# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpusers-hooks(8): what the manual page says to type, and what it says
there is."""

import subprocess

import pytest

from hooks.panelsite import Site, install, modules
from places import SOURCE
from redisserver import wait_until
from test_hooks_webhook import Receiver

PAGE = (SOURCE / "scripts" / "smtpusers-hooks.8").read_text()


@pytest.fixture(scope="module")
def prefix():
    return install()


@pytest.fixture
def site(prefix, redis):
    return Site(prefix, redis)


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
                          capture_output=True, timeout=60).stdout.decode()


def test_the_scripts_of_directadmin(site):
    custom = site.directory / "custom"
    custom.mkdir()
    (custom / "domain_create_post.sh").write_text("somebody else's\n")
    run(example("scripts/custom"), **{
        "/usr/local/share/smtpusers": site.prefix / "share" / "smtpusers",
        "/usr/local/directadmin/scripts/custom": custom})
    installed = sorted(custom.glob("*/*.sh"))
    assert {path.name for path in installed} == {"smtpusers.sh"}
    assert len(installed) == len(list((site.hooks / "directadmin").iterdir()))
    result = site.run(
        custom / "domain_create_post" / "smtpusers.sh",
        env=site.directadmin_environment("domain_create_post"))
    assert (result.returncode, result.stderr) == (0, b"")
    assert site.domains() == {"example.org"}


def test_the_script_of_cpanel(site):
    cpanel = site.directory / "cpanel"
    (cpanel / "bin").mkdir(parents=True)
    (cpanel / "3rdparty" / "bin").mkdir(parents=True)
    manage = cpanel / "bin" / "manage_hooks"
    manage.write_text('#!/bin/sh\necho "$1 $2"\nexec "$3" --describe\n')
    manage.chmod(0o755)
    said = run(example("manage_hooks add"), **{
        "/usr/local/share/smtpusers": site.prefix / "share" / "smtpusers",
        "/usr/local/cpanel": cpanel})
    assert said.startswith("add script\n[")
    path = cpanel / "3rdparty" / "bin" / "smtpusers-hook-cpanel"
    assert '"hook": "%s"' % path in said
    result = site.run(path, stdin=site.cpanel_input("accounts_create"))
    assert result.stdout == b"1 stored\n"
    assert site.domains() == {"example.org"}


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
    for word in (*keys, *events.NEEDS):
        assert ".It Cm %s\n" % word in PAGE
    for word in (*directadmin.HOOKS, *(event for _, event, _ in cpanel.HOOKS),
                 *(field for field in events.FIELDS
                   if field not in ("account", "domain"))):
        assert word in PAGE


def test_there_is_a_script_for_each_hook_of_directadmin(site, library):
    scripts = {path.stem: path.read_text() for path in
               (site.hooks / "directadmin").iterdir()}
    assert set(scripts) == set(library("directadmin").HOOKS)
    for hook, text in scripts.items():
        assert text.endswith("\nexec %s directadmin %s\n" %
                             (site.program, hook))


def test_the_sample_has_every_key_at_its_default(site, library):
    config = library("config")
    sample = site.prefix / "etc" / "smtpusers-hooks.conf.sample"
    found = vars(config.read_config(str(sample)))
    assert found == vars(config.read_config("/nonexistent"))
    assert found["smtpusers"] == str(site.prefix / "sbin" / "smtpusers")
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
            for name in ("SBINDIR", "DATADIR", "SYSCONFDIR"):
                assert "@%s@" % name not in text, path
