# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The configuration file, as both programs and smtpd's operator meet it."""

import re
import subprocess

import pytest

from linedriver import FilterDriver, TableDriver
from places import PATIENCE, SOURCE, configuration, program, workdir
from redisserver import wait_until
from session import Session
from systemlog import Syslog

OK = "235 2.0.0 Authentication succeeded"
PASSWORD = "Open-Sesame1"

ERRORS = {
    "unknown-key": "redsi = \"unix:/x\"\n",
    "syntax": "prefix = \n",
    "unclosed": "prefix = \"smtp:\nredis_db = 1\n",
    "not-a-number": "redis_timeout = soon\n",
    "negative": "redis_timeout = -5\n",
    "zero": "redis_timeout = 0\n",
    "transport": "redis = \"http://127.0.0.1/\"\n",
    "no-port": "redis = \"tcp:127.0.0.1\"\n",
    "port": "redis = \"tcp:127.0.0.1:70000\"\n",
    "local": "local = maybe\n",
    "enforce": "enforce = {envelope, body}\n",
    "spf": "spf = sometimes\n",
    "unit": "quota_unit = byte\n",
    "period": "quota_period = \"1 fortnight\"\n",
    "url": "report_url = \"not a url\"\n",
    "database": "redis_db = -1\n",
    "prefix": "prefix = \"a b{\"\n",
    "resolver": "spf_resolver = \"ns.example.org\"\n",
}
TOGETHER = {
    "password-file": "redis_password_file = \"/nonexistent/password\"\n",
    "ca": "redis_ca = \"/nonexistent/ca\"\n",
    "user-alone": "redis_user = \"relay\"\n",
    "no-include": "spf = include\n",
    "no-relays": "spf = pass\n",
}


def written(text):
    path = workdir("conf") / "smtpusers.conf"
    path.write_text(text)
    return path


def run(path, *options):
    return subprocess.run(
        [program("filter-smtpusers"), *options, "-f", path],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=PATIENCE)


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_has_its_file_and_line(kind):
    refused(written("redis_db = 2\n\n" + ERRORS[kind]), ":[345]: ")


@pytest.mark.parametrize("kind", TOGETHER)
def test_keys_that_do_not_go_together(kind):
    refused(written(TOGETHER[kind]), ":1: ")


def test_nothing_enforced():
    refused(written("enforce = {}\n"), ": ")


def refused(path, line):
    place = re.compile("^(?:[a-z]+-smtpusers: )?%s%s" % (
        re.escape(str(path)), line), re.MULTILINE)
    for option in ("-n", "-p"):
        checked = run(path, option)
        assert checked.returncode == 1
        assert place.match(checked.stderr), checked.stderr
        assert checked.stdout == ""
    started = run(path)
    assert started.returncode != 0
    assert place.search(started.stderr), started.stderr
    table = subprocess.run([program("table-smtpusers"), path],
                           stdin=subprocess.DEVNULL, capture_output=True,
                           text=True, timeout=PATIENCE)
    assert table.returncode != 0
    assert place.search(table.stderr), table.stderr
    assert table.stdout == ""


def test_a_file_that_is_not_there():
    result = run("/nonexistent/smtpusers.conf", "-p")
    assert result.returncode == 1
    assert "/nonexistent/smtpusers.conf" in result.stderr


def in_effect(path):
    result = run(path, "-p")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return dict(line.split(" = ", 1) for line in result.stdout.splitlines())


def test_an_empty_file_is_every_default():
    values = in_effect(written(""))
    assert values["redis"] == '"unix:/run/redis/redis-server.sock"'
    assert values["redis_timeout"] == "500"
    assert values["redis_db"] == "0"
    assert values["redis_replicas"] == "0"
    assert values["prefix"] == '"smtp:"'
    assert values["report_url"] == '"https://reports.example.net/"'
    assert values["enforce"] == '{"envelope", "header"}'
    assert values["spf"] == '"published"'
    assert values["spf_timeout"] == "5000"
    assert values["spf_workers"] == "4"
    assert values["quota_unit"] == '"message"'
    assert values["local"] == '"trust"'
    assert values["source_refusal"] == '"auth"'


def test_every_key_is_read_and_printed():
    password = workdir("conf") / "password"
    password.write_text("Redis-Secret-9\n")
    keys = {
        "redis": "tls:redis.example.org:6380", "redis_user": "relay",
        "redis_password_file": str(password), "redis_db": 3,
        "redis_timeout": 250, "redis_replicas": 2, "redis_ca": str(password),
        "prefix": "mail:", "report_url": "https://r.example.org/x",
        "enforce": ["header"], "spf": "include",
        "spf_include": ["spf.example.org"], "spf_relays": ["192.0.2.1"],
        "spf_timeout": 1000, "spf_workers": 2, "spf_resolver": "192.0.2.53",
        "quota_unit": "recipient", "local": "enforce",
        "source_refusal": "mail-from"}
    text = configuration(**keys)
    values = in_effect(written(text))
    for line in text.splitlines():
        key, _, value = line.partition(" = ")
        assert values[key] == value
    assert "Redis-Secret-9" not in repr(values)


def test_what_is_printed_is_a_configuration():
    first = run(written('prefix = "q\\"uo\\\\te:"\nredis_db = 7\n'), "-p")
    assert first.returncode == 0, first.stderr
    assert first.stdout == run(written(first.stdout), "-p").stdout
    assert 'prefix = "q\\"uo\\\\te:"' in first.stdout.splitlines()


@pytest.mark.parametrize("kind", ["unknown-key", "negative", "syntax"])
def test_smtpd_does_not_start_on_a_broken_file(new_relay, kind):
    relay = new_relay(start=False)
    relay.conf_path.write_text("\n" + ERRORS[kind])
    place = re.compile(re.escape(str(relay.conf_path)) + ":[23]: ")
    relay.launch()
    try:
        assert relay.process.wait(PATIENCE) != 0
        assert place.search(relay.log())
    finally:
        relay.stop()


def test_a_daemon_says_in_the_system_log_why_it_ended(new_relay):
    """A terminal has long said that smtpd was started when it ends."""
    relay = new_relay(start=False)
    relay.conf_path.write_text("\nredsi = \"unix:/x\"\n")
    place = re.escape(str(relay.conf_path)) + ":2: "
    with Syslog() as syslog:
        relay.launch("-v")
        try:
            assert relay.process.wait(PATIENCE) == 0
            # smtpd starts both at once, and ends with the first.
            wait_until(lambda: [line for line in syslog.read() if
                                line[1] == "err" and
                                re.match(place, line[2])], 20,
                       "the error in the system's log")
        finally:
            relay.stop()


@pytest.mark.parametrize("name", ["filter-smtpusers", "table-smtpusers"])
def test_errors_before_registration_are_in_the_system_log(redis, name):
    secret = workdir("conf") / "password"
    secret.write_text("Redis-Secret-9\n")
    secret.chmod(0o600)
    path = written("\n\nredis_password_file = \"%s\"\n" % secret)
    with Syslog() as syslog:
        ended = subprocess.run(
            ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
             program(name), *(["-f"] if name[0] == "f" else []), path],
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=PATIENCE)
        assert ended.returncode == 1
        said = syslog.wait(name, "err", "redis_password_file")
        assert said == "%s:3: redis_password_file: %s: Permission denied" % (
            path, secret)
        assert "%s: %s\n" % (name, said) in ended.stderr


def test_what_is_said_later_is_smtpds_to_log(redis):
    with Syslog() as syslog:
        conf = configuration(redis="unix:/nonexistent/redis", redis_timeout=50)
        with FilterDriver(workdir("filter"), conf) as filter_:
            syslog.wait("filter-smtpusers", "warning", "/nonexistent/redis")
            before = len(syslog.read())
            filter_.send("nonsense")
            wait_until(lambda: "malformed" in filter_.stderr(), 20, "a line")
            assert len(syslog.read()) == before


def test_update_reads_the_file_again(new_relay, users):
    relay = new_relay()
    users.add("alice", PASSWORD)
    users.prefix = "other:"
    users.add("alice", "Another-Word2")
    with Session(relay) as session:
        assert session.login("alice", "Another-Word2").startswith("535")
    text = relay.conf_path.read_text()
    relay.conf_path.write_text(text + 'prefix = "other:"\n')
    assert relay.ctl("update", "table", "users").returncode == 0
    with Session(relay) as session:
        assert session.login("alice", PASSWORD).startswith("535")
        assert session.login("alice", "Another-Word2") == OK


def test_a_broken_update_keeps_what_was(new_relay, users):
    relay = new_relay()
    users.add("alice", PASSWORD)
    relay.conf_path.write_text("prefix = \n")
    relay.ctl("update", "table", "users")
    with Session(relay) as session:
        assert session.login("alice", PASSWORD) == OK
        assert session.message().startswith("250")
    assert "%s:" % relay.conf_path in relay.log()


def test_update_by_the_protocol(redis, users):
    conf = configuration(redis=redis.url)
    users.add("alice", PASSWORD)
    users.prefix = "other:"
    users.add("bob", PASSWORD)
    with TableDriver(workdir("table"), conf) as table:
        assert table.lookup("credentials", "alice").startswith("found|alice:")
        assert table.lookup("credentials", "bob") == "not-found"
        table.conf_path.write_text("nonsense")
        assert table.update().startswith("error")
        assert table.lookup("credentials", "alice").startswith("found|alice:")
        table.conf_path.write_text(conf + 'prefix = "other:"\n')
        for _ in range(20):
            assert table.update() == "ok"
        assert table.lookup("credentials", "alice") == "not-found"
        assert table.lookup("credentials", "bob").startswith("found|bob:")


@pytest.mark.parametrize("url, why", [
    ("unix:/nonexistent/redis.sock", "No such file or directory"),
    ("tcp:127.0.0.1:1", "Connection refused"),
    ("tcp:nowhere.invalid:6379", "nowhere.invalid")])
def test_an_update_to_a_server_that_is_away(redis, users, url, why):
    """The connection that works is kept, and the log says what is wrong."""
    conf = configuration(redis=redis.url, redis_timeout=1000)
    users.add("alice", PASSWORD)
    with TableDriver(workdir("table"), conf) as table:
        table.conf_path.write_text(configuration(redis=url,
                                                 redis_timeout=1000))
        for _ in range(3):
            assert table.update() == \
                "error|the configuration in force stays as it was"
            assert table.lookup("credentials", "alice").startswith("found|")
        assert "redis: %s: " % url in table.stderr()
        assert why in table.stderr()
        assert "%s: redis cannot be asked: the configuration in force stays " \
            "as it was" % table.conf_path in table.stderr()
        # Within the time that the one in force allows.
        table.conf_path.write_text(configuration(redis=url,
                                                 redis_timeout=9000))
        assert table.update().startswith("error|")
        table.conf_path.write_text(conf)
        assert table.update() == "ok"
        assert table.lookup("credentials", "alice").startswith("found|")


def test_an_update_with_a_wrong_password(redis, users):
    conf = configuration(redis=redis.url, redis_timeout=1000)
    directory = workdir("table")
    (directory / "password").write_text("Not-The-Secret\n")
    users.add("alice", PASSWORD)
    with TableDriver(directory, conf) as table:
        table.conf_path.write_text(conf + 'redis_user = "nobody"\n'
                                   'redis_password_file = "%s"\n' % (
                                       directory / "password"))
        assert table.update().startswith("error|")
        assert table.lookup("credentials", "alice").startswith("found|")
        assert "AUTH: WRONGPASS" in table.stderr()
        assert "Not-The-Secret" not in table.stderr()


def test_all_programs_are_of_one_version():
    version = (SOURCE / "VERSION").read_text().strip()
    for name in ("filter-smtpusers", "table-smtpusers"):
        done = subprocess.run([program(name), "-V"], capture_output=True,
                              text=True, check=True)
        assert done.stdout == "%s %s\n" % (name, version)
    done = subprocess.run([SOURCE / "scripts" / "smtpusers", "--version"],
                          capture_output=True, text=True, check=True)
    assert version in done.stdout.split()
