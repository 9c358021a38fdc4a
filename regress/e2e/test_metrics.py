# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The numbers of the relays, as Prometheus reads them, and what is made of
them: a dashboard and alerts."""

import http.server
import json
import os
import re
import shutil
import subprocess
import textwrap
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from cli import EX_CANTCREAT, EX_UNAVAILABLE, Smtpusers, log_in_as
from linedriver import FilterDriver, TableDriver
from places import SOURCE, configuration, free_port, workdir
from redisserver import wait_until
from session import Session

PASSWORD = "Open-Sesame1"
MONITORING = SOURCE / "scripts" / "monitoring"
RULES = MONITORING / "smtpusers.rules.yml"
SOON = 90


@pytest.fixture
def cmd(redis):
    return Smtpusers(redis, workdir("metrics"))


def both(redis, name="mx1"):
    """A filter and a table that have written what they do."""
    conf = configuration(redis=redis.url, relay_name=name, spf="off")
    return (FilterDriver(workdir("filter"), conf),
            TableDriver(workdir("table"), conf))


@pytest.fixture
def relay_state(redis):
    """Of a relay with no smtpd: a message of its own, and one refused."""
    filter_, table = both(redis)
    with filter_, table:
        for number, source, verdict in ((1, "unix:/x", "proceed"), (
                2, "192.0.2.1:40000", "reject|530 5.7.0 Authentication "
                "required")):
            session = "%016x" % number
            filter_.connect(session, source)
            assert filter_.ask("mail-from", session, "a@x.example") == verdict
        for event in ("rcpt-to", "commit"):
            assert filter_.ask(event, "%016x" % 1, "b@x.example") == "proceed"
        filter_.report("tx-commit", "%016x" % 1, "00000001", "100")
        for program, field in (("filter", "bytes:trusted"),
                               ("table", "version")):
            wait_until(lambda p=program, f=field: redis.cli(
                "HEXISTS", "smtp:relay:{mx1}:" + p, f), SOON, program)
        yield filter_, table


def samples(text):
    """{name with labels: value}, after a look at the form of each line."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            assert re.fullmatch(r"# (HELP [a-z_]+ [^\\]+|EOF|TYPE [a-z_]+ "
                                r"(counter|gauge|summary|info))", line), line
            continue
        match = re.fullmatch(r'([a-z_]+(?:\{(?:[a-z_]+="(?:[^"\\]|\\.)*",?)+'
                             r'\})?) (-?[0-9]+(?:\.[0-9]+)?)', line)
        assert match and match[1] not in found, line
        found[match[1]] = float(match[2])
    return found


def families(text):
    """The names of types, and the names of the samples of each."""
    found, name = {}, None
    for line in text.splitlines():
        words = line.split(" ")
        if words[:2] == ["#", "TYPE"]:
            name = words[2]
            assert name not in found
            found[name] = (words[3], set())
        elif not line.startswith("#"):
            found[name][1].add(re.split("[{ ]", line)[0])
    return found


# How samples are named behind the name of a family in OpenMetrics.
SUFFIXES = {"counter": {"_total"}, "gauge": {""}, "info": {"_info"},
            "summary": {"", "_sum", "_count"}}


def test_openmetrics(cmd, relay_state):
    text = cmd.ok("metrics").stdout
    assert text.endswith("# EOF\n") and text.count("# EOF") == 1
    for name, (kind, names) in families(text).items():
        assert names == {name + suffix for suffix in SUFFIXES[kind]}, name
        assert not name.endswith("_total")
    found = samples(text)
    assert found["smtpusers_redis_up"] == 1
    for program in ("filter", "table"):
        labels = '{relay="mx1",program="%s"}' % program
        assert found["smtpusers_relay_up" + labels] == 1
        assert 0 < found["smtpusers_start_time_seconds" + labels] <= \
            time.time()
        assert found["smtpusers_redis_timeout_seconds" + labels] > 0
    of_filter = '_total{relay="mx1",program="filter",'
    for name, value in (
            ('messages%sresult="accepted"}', 0),
            ('messages%sresult="trusted"}', 1),
            ('messages%sresult="refused"}', 1),
            ('recipients%sresult="trusted"}', 1),
            ('message_bytes%sresult="trusted"}', 100)):
        assert found["smtpusers_" + name % of_filter] == value, name
    refused, = [name for name in found if "refusals" in name]
    assert refused.startswith("smtpusers_refusals" + of_filter +
                              'event="message",result="refused",reason="')


def test_text(cmd, relay_state):
    """The same numbers; promtool has nothing to say."""
    text = cmd.ok("metrics", "--text").stdout
    for name, (kind, names) in families(text).items():
        assert kind != "info"
        assert all(one.startswith(name) for one in names)
        assert kind != "counter" or names == {name}
    assert samples(text).keys() == samples(cmd.ok("metrics").stdout).keys()
    said = subprocess.run(["promtool", "check", "metrics"], input=text,
                          capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_what_is_said_of_each_is_in_the_manual():
    """Each family by its name and kind, with what it is."""
    page = (SOURCE / "scripts" / "smtpusers.8").read_text()
    table = page.partition('.\\" metrics\n')[2].partition(".El")[0]
    assert table == manual_table()


def manual_table():
    """What stands in smtpusers(8), from the command itself."""
    from cli import package
    metrics = package("provision.metrics")
    lines = []
    for family in metrics.FAMILIES:
        labels = [label for value in family.values
                  if isinstance(value.labels, dict) for label in value.labels]
        name = "smtpusers_" + family.name + (
            "_total" if family.kind == "counter" else "")
        lines += row(name, labels[:1], family.help)
    for family in metrics.TOTALS:
        lines += row("smtpusers_" + family.name + "_total", family.labels,
                     family.help)
    return "".join(line + "\n" for line in lines)


def row(name, labels, words):
    by = " No by Cm " + " , ".join(labels) if labels else ""
    return [".It Cm " + name + by, *textwrap.wrap(words, 79)]


def test_a_relay_that_is_gone_has_no_numbers(cmd, redis):
    filter_, table = both(redis)
    with table:
        with filter_:
            wait_until(lambda: redis.cli("EXISTS", "smtp:relay:{mx1}:filter"),
                       SOON, "filter")
        redis.cli("EXPIRE", "smtp:relay:{mx1}:filter", 0)
        wait_until(lambda: redis.cli("EXISTS", "smtp:relay:{mx1}:table"),
                   SOON, "table")
        found = samples(cmd.ok("metrics").stdout)
    assert found['smtpusers_relay_up{relay="mx1",program="filter"}'] == 0
    assert found['smtpusers_relay_up{relay="mx1",program="table"}'] == 1
    assert [name for name in found if 'program="filter"' in name] == [
        'smtpusers_relay_up{relay="mx1",program="filter"}',
        'smtpusers_relay_seen_timestamp_seconds{relay="mx1",program="filter"}']


def test_redis_is_away(cmd, redis):
    redis.kill()
    said = cmd.run("metrics")
    assert said.returncode == EX_UNAVAILABLE
    assert "cannot connect to Redis" in said.stderr
    assert list(samples(said.stdout)) == ["smtpusers_time_seconds",
                                          "smtpusers_redis_up"]
    assert "smtpusers_redis_up 0\n" in said.stdout


def test_what_a_stranger_wrote(cmd, redis):
    now = int(time.time())
    redis.cli("ZADD", "smtp:relays", now, "filter:a", now, "filter:b",
              now, 'filter:"} 1\nx 2', "inf", "table:c")
    redis.cli("HSET", "smtp:relay:{a}:filter", "version", b'"} 1\nx 2\\\xff',
              "sessions", "1e3", "connections", "7\n", "redis_p99", "1")
    redis.cli("SET", "smtp:relay:{b}:filter", "x")
    redis.cli("HSET", "smtp:relay:{a}:filter", "message:refused:spf", "7",
              'message:refused:"} 1', "1", "message:refused:x", "many",
              "bytes:accepted:x", "1", "bytes:accepted", "2", "::", "3")
    redis.cli("HSET", "smtp:relay:{a}:filter", *(
        word for n in range(20000) for word in ("f:%d" % n, "x" * 100)))
    for form in ((), ("--text",)):
        text = cmd.ok("metrics", *form).stdout
        assert len(text) < 20000
        found = samples(text)
        assert 'smtpusers_redis_reply_seconds{relay="a",program="filter",' \
            'quantile="0.99"}' in found
        assert not [name for name in found if "connections" in name]
        assert [name for name in found if "info" in name]
        assert found['smtpusers_relay_up{relay="b",program="filter"}'] == 0
    text = cmd.ok("metrics", "--text").stdout
    said = subprocess.run(["promtool", "check", "metrics"], input=text,
                          capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr


def test_a_file_is_replaced_as_a_whole(cmd, relay_state):
    file = workdir("textfile") / "smtpusers.prom"
    cmd.ok("metrics", "--text", "--output", file)
    assert samples(file.read_text()).keys() == \
        samples(cmd.ok("metrics").stdout).keys()
    assert os.stat(file).st_mode & 0o777 == 0o644
    with open(file, encoding="utf-8") as before:
        cmd.ok("metrics", "--text", "--output", file)
        # Who has begun to read goes on with what there was.
        samples(before.read())
    assert list(file.parent.iterdir()) == [file]
    assert "No such file" in cmd.fails(EX_CANTCREAT, "metrics", "--output",
                                       "/nonexistent/x")
    assert cmd.fails(EX_CANTCREAT, "metrics", "--output", file.parent)
    assert list(file.parent.iterdir()) == [file]


def test_who_may_only_look(redis, relay_state):
    monitor = log_in_as(redis, "monitor", workdir("monitor"))
    assert samples(monitor.ok("metrics").stdout)["smtpusers_redis_up"] == 1


# What is made of them

def names_in(expression):
    return set(re.findall(r"\bsmtpusers_[a-z_]+", expression))


def rules():
    """The expressions of the alerts; the file has no other lines like that."""
    said = subprocess.run(["promtool", "check", "rules", RULES],
                          capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    return RULES.read_text()


def dashboard():
    return json.loads((MONITORING / "dashboard.json").read_text())


def expressions():
    return [target["expr"] for panel in dashboard()["panels"]
            for target in panel["targets"]]


def test_all_that_is_named_is_there(cmd, relay_state):
    there = {re.split("[{ ]", line)[0] for line in
             cmd.ok("metrics").stdout.splitlines()}
    wanted = names_in(" ".join(re.sub(r"smtpusers-[a-z.]+", "", line)
                               for line in rules().splitlines()))
    assert wanted and wanted <= there
    shown = names_in(" ".join(expressions()))
    assert shown and shown <= there


def test_rules():
    directory = workdir("rules")
    shutil.copy(RULES, directory)
    shutil.copy(SOURCE / "regress/e2e/monitoring/rules.test.yml", directory)
    said = subprocess.run(["promtool", "test", "rules", "rules.test.yml"],
                          cwd=directory, capture_output=True, text=True,
                          check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    tested = set(re.findall("alertname: (\\w+)", (
        directory / "rules.test.yml").read_text()))
    assert tested == set(re.findall("alert: (\\w+)", RULES.read_text()))


def test_the_dashboard_is_one():
    found = dashboard()
    panels = found["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken and max(cells)[0] < 24, panel["title"]
        taken |= cells
        assert panel["datasource"]["uid"] == "${datasource}"
    names = {variable["name"] for variable in found["templating"]["list"]}
    assert names == {"datasource", "relay"}


# With a Prometheus

def serve(cmd):
    """The CGI as a web server runs it; its place."""
    script = workdir("cgi") / "metrics.cgi"
    text = (MONITORING / "metrics.cgi").read_text()
    assert '"@SBINDIR@/smtpusers" ' in text
    script.write_text(text.replace("@SBINDIR@/smtpusers", str(cmd.script)))
    script.chmod(0o755)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            said = subprocess.run(
                [script], env={**cmd.environment, "SMTPUSERS_CONF": cmd.file},
                stdin=subprocess.DEVNULL, capture_output=True, check=False)
            head, _, body = said.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in
                           head.decode().split("\r\n"))
            self.send_response(int(headers.pop("Status", "200")[:3]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def web(cmd):
    server = serve(cmd)
    yield "http://127.0.0.1:%d/" % server.server_address[1]
    server.shutdown()
    server.server_close()


def test_the_cgi(web, cmd, redis, relay_state):
    with urllib.request.urlopen(web) as reply:
        assert reply.headers["Content-Type"] == \
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        assert samples(reply.read().decode())["smtpusers_redis_up"] == 1
    redis.kill()
    with urllib.request.urlopen(web) as reply:
        assert samples(reply.read().decode())["smtpusers_redis_up"] == 0
    redis.start()
    cmd.file.write_text("nonsense = 1\n")
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(web)
    assert error.value.code == 500
    assert b"nonsense" not in error.value.read()


class Prometheus:
    """One that scrapes every twenty seconds."""

    def __init__(self, target):
        self.port = free_port()
        self.directory = workdir("prometheus")
        (self.directory / "prometheus.yml").write_text(
            "global: {scrape_interval: 20s, scrape_timeout: 20s}\n"
            "rule_files: ['%s']\n"
            "scrape_configs:\n"
            "- job_name: smtpusers\n"
            "  static_configs: [{targets: ['%s']}]\n" % (
                RULES, urllib.parse.urlsplit(target).netloc))
        self.log = open(self.directory / "log", "wb")
        self.process = subprocess.Popen(
            ["prometheus", "--config.file=prometheus.yml",
             "--storage.tsdb.path=data",
             "--web.listen-address=127.0.0.1:%d" % self.port],
            cwd=self.directory, stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()

    def ask(self, path, **query):
        url = "http://127.0.0.1:%d/api/v1/%s?%s" % (
            self.port, path, urllib.parse.urlencode(query))
        try:
            with urllib.request.urlopen(url) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as error:
            # It is about to be ready.
            if error.code == 503:
                return None
            raise AssertionError(error.read()) from None
        except OSError:
            return None

    def is_up(self):
        target, = self.ask("targets")["activeTargets"]
        return (target["health"], target["lastError"]) == ("up", "")

    def query(self, expression):
        found = self.ask("query", query=expression)
        return found and found["result"]


def test_a_prometheus_takes_it(web, new_relay, users, redis):
    """And all that the dashboard shows can be asked of it."""
    users.add("alice", PASSWORD)
    relay = new_relay(relay_name="mx1")
    with Session(relay) as session:
        session.plain("alice", PASSWORD)
        for _ in range(3):
            assert session.message().startswith("250")
    wait_until(lambda: redis.cli("HGET", "smtp:relay:{mx1}:filter",
                                 "messages_accepted") == "3", SOON, "3")
    with Prometheus(web) as server:
        # On a busy machine a scrape may take too long, and the next be well.
        found, = wait_until(lambda: server.query(
            'smtpusers_messages_total{result="accepted"}'), SOON * 3,
            "a scrape")
        assert found["value"][1] == "3"
        assert found["metric"]["relay"] == "mx1"
        wait_until(server.is_up, SOON * 3, "a target without an error")
        # It took it for OpenMetrics, where a counter is named without _total.
        kinds = server.ask("metadata", metric="smtpusers_messages")
        assert kinds["smtpusers_messages"][0]["type"] == "counter"
        for expression in expressions():
            text = expression.replace("$__rate_interval", "1m").replace(
                "$relay", ".*")
            assert server.query(text) is not None, text
        groups = server.ask("rules")["groups"]
        assert len(groups[0]["rules"]) == RULES.read_text().count("- alert:")
