# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What the manual pages show to be typed: each command is run on a relay that
was installed by the README, in the page's order, or stands below with the
reason why it is not, and where it is tried instead."""

import re
import shlex
import subprocess

import pytest

from manual import blocks, displays
from places import SOURCE, build, workdir
from redisserver import RedisServer
from test_readme import BLOCKS, Host, write

PAGES = {path.name: path for path in sorted(SOURCE.glob("*/*.[578]"))
         if path.parent.name != "build"}

# Pages with tests of their own, which run all that they display.
OWN = {"smtpusers-schema.7": "test_schema_manual.py",
       "smtpusers-functions.7": "test_functions_manual.py"}

# What is no command, by how it begins.
SHOWN = (
    "f7378513ffeb9737 ", "redis: tcp:", "filter users proc-exec",
    "pki relay.example.org", "listen on ", "action \"relay\"", "redis = ",
    "alarm \"", "table users smtpusers:", "[deliver ", "{\"id\": ",
    "[webhook]", "limit_req_zone ")

# What is not run here, by how it begins: why, and where it is tried.
SYSTEMD, TRIED = "a service of systemd's", "a test of its own"
ELSEWHERE = {
    "systemctl enable --now smtpusers-metrics.timer": (
        SYSTEMD, "scripts/monitoring/smtpusers-metrics.timer", "[Install]"),
    "systemctl enable --now smtpusers-deliver": (
        SYSTEMD, "scripts/hooks/systemd/smtpusers-deliver.service",
        "[Install]"),
    "* * * * * rcctl check smtpd": ("OpenBSD's cron", None, None),
    "* * * * * root /usr/local/sbin/smtpusers-hook": (
        "a line for cron", "regress/e2e/test_hooks_spool.py", '"drain"'),
    "redis-cli XGROUP DESTROY": (
        TRIED, "regress/e2e/test_hooks_deliver.py", '"XGROUP", "DESTROY"'),
    "smtpusers-hook list": (
        TRIED, "regress/e2e/test_hooks_spool.py", '"list"'),
    "smtpusers-hook retry": (
        TRIED, "regress/e2e/test_hooks_spool.py", '"retry"'),
    "/usr/local/sbin/smtpusers-notify install": (
        TRIED, "regress/e2e/test_hooks_install.py", '"install", panel'),
    "smtpusers-notify event account.renamed": (
        TRIED, "regress/e2e/test_hooks_notify.py", '"account.renamed"'),
    "smtpusers-notify event domain.deleted": (
        TRIED, "regress/e2e/test_hooks_notify.py", '"domain.deleted"'),
    "now=$(date": (
        TRIED, "regress/e2e/test_hooks_install.py", "Smtpusers-Timestamp"),
    "curl -H 'Accept-Language: de'": (
        TRIED, "regress/e2e/test_report_page.py", "HTTP_ACCEPT_LANGUAGE"),
}

# What a command needs that the page has not made, by how it begins.
BEFORE = {
    "redis-cli FUNCTION LIST": "printf '%s\\n' '#!lua name=smtpusers_3_"
    "0123456789abcdef' 'redis.register_function(\"old\", function() end)' "
    "| redis-cli -x FUNCTION LOAD",
    "/usr/libexec/opensmtpd/filter-smtpusers -e": "smtpusers add alice "
    "--no-password --domain example.org",
    "smtpusers set alice alarms": "smtpusers add alice --no-password",
    "smtpusers add alice --domain example.org --stdin": "smtpusers rm alice "
    "--yes; (umask 077; echo 'Rumpel-Stilz 9' >secret)",
    "smtpusers report": "redis-cli HSET 'smtp:report:{123456789012345678}' "
    "reason domain-not-assigned user alice domain example.com",
    "smtpusers export |": "(cat /etc/smtpusers.conf; echo redis_db = 1) "
    ">/etc/other.conf",
    "smtpusers suppress import": "echo bob@example.com >bounced.txt",
    "smtpusers domain add web1": "smtpusers add web1 --no-password",
}

# What has no place here, and what stands for it.
INSTEAD = {r"\bpkill ": "pkill --ns $HOLDER --nslist mnt ",
           r"\bjq -r .*": "grep problems",
           r"systemctl .*": ""}

# Commands that tell by their status what they have found.
TELLING = ("smtpusers status",)


def commands(text):
    """What a display has to be typed: after a prompt, with the lines that go
    on; all of it where there is no prompt."""
    if not re.search(r"^[#$] ", text, re.MULTILINE):
        return [text.strip()]
    return [re.sub(r"^> ?", "", found[2:], flags=re.MULTILINE).strip()
            for found in re.findall(
                r"^[#$] (?:.*\\\n)*.*(?:\n>.*)*", text, re.MULTILINE)]


def typed(page):
    return [command for _, text in displays(page, lines=True)
            if not text.startswith(SHOWN) for command in commands(text)]


def first(table, command):
    return next((table[words] for words in table
                 if command.startswith(words)), None)


@pytest.fixture(scope="module")
def server():
    directory = workdir("redis")
    (directory / "acl").write_text("user default on nopass ~* &* +@all\n")
    with RedisServer(directory, extra=(
            "--port", 6379, "--bind", "127.0.0.1", "--aclfile",
            directory / "acl")) as redis:
        yield redis


@pytest.fixture(scope="module")
def host(server):
    """As the README has it."""
    install, tcp, _ = BLOCKS["Installing"]
    make_certificate, conf, _ = BLOCKS["smtpd.conf"]
    with Host(workdir("host")) as machine:
        machine.type("cd %s\n%s" % (SOURCE, install.split("\nmake\n")[1]
                                    .replace("make install",
                                             "make -o all install B=%s" %
                                             build())))
        with open(machine.place / "etc" / "smtpusers.conf", "a") as file:
            file.write(tcp)
        machine.type(make_certificate)
        write(machine.place / "etc" / "smtpd.conf", conf)
        machine.start("/etc/smtpd.conf")
        yield machine


def run(host, command):
    before = first(BEFORE, command)
    if before:
        host.type(before)
    for pattern, other in INSTEAD.items():
        command = re.sub(pattern, other, command)
    if command.startswith(TELLING):
        command += " || :"
    return host.type("HOLDER=%d; %s" % (host.holder.pid, command))


@pytest.mark.parametrize("name", [name for name in PAGES if name not in OWN])
def test_each_command_of_a_page(host, server, name):
    server.cli("FLUSHALL")
    host.type("redis-cli FUNCTION FLUSH")
    for command in typed(PAGES[name]):
        if first(ELSEWHERE, command) is None:
            said = run(host, command)
            assert "ERR " not in said and "not found" not in said, said
    assert host.smtpd.poll() is None


def test_what_is_not_run_is_tried_elsewhere():
    shown = [command for name, page in PAGES.items() if name not in OWN
             for command in typed(page)]
    assert len(shown) > 50
    for words, (_, where, what) in ELSEWHERE.items():
        assert any(command.startswith(words) for command in shown), words
        assert where is None or what in (SOURCE / where).read_text(), words
    for words in BEFORE:
        assert any(command.startswith(words) for command in shown), words
    text = "".join(text for page in PAGES.values()
                   for _, text in displays(page, lines=True))
    for words in SHOWN:
        assert words in text, words
    assert len([words for page in PAGES.values()
                for words in quoted(page)]) > 40
    for name, test in OWN.items():
        assert name in (SOURCE / "regress" / "e2e" / test).read_text()


def test_the_commands_for_programmers_name_what_is_there():
    text, = [text for heading, text in blocks(SOURCE / "HACKING.md")
             if heading == "One test"]
    name, file = re.search(r"-k (\S+) (\S+)", text).groups()
    assert "def %s(" % name in (SOURCE / file).read_text()
    for unit in re.findall(r"unit/(\w+)", text):
        assert (SOURCE / "regress" / "unit" / (unit + ".c")).exists()
    assert (SOURCE / "scripts" / "devroot").exists()


# What stands within sentences

PARSE = """
import sys
sys.path.insert(0, sys.argv[1])
from provision.commandline import make_parser
from provision.failure import Failure

for line in sys.stdin:
    try:
        make_parser().parse_args(line.split("\\0")[1:-1])
    except Failure as failure:
        print(line.replace("\\0", " ").strip(), "|", failure)
"""


def quoted(page):
    """The command lines of smtpusers in sentences, as words."""
    for line in re.findall(r"^\.Ql (smtpusers .*)$", page.read_text(),
                           re.MULTILINE):
        line = re.sub(r" [.,;:)]+$", "", line)
        line = re.sub(r"\bFl (-?\w+)", r"-\1", line)
        words = shlex.split(re.sub(r"\b(?:Ar|Cm|No|Ns) ", "", line))
        yield [word for word in words if word != "..."]


@pytest.mark.parametrize("name", PAGES)
def test_commands_in_sentences(name):
    """They may leave out names, but have no word that is unknown."""
    lines = list(quoted(PAGES[name]))
    said = subprocess.run(
        ["/usr/bin/python3", "-IB", "-c", PARSE, SOURCE / "scripts"],
        input="".join("\0".join([*words, "\n"]) for words in lines),
        capture_output=True, encoding="utf-8", check=True).stdout
    unknown = [line for line in said.splitlines()
               if "invalid choice" in line or "unrecognized" in line]
    assert not unknown
