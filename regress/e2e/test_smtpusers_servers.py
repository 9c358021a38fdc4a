# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpusers(8) and the hooks with Sentinels and with a cluster: the same
commands, wherever the keys are."""

import json
from types import SimpleNamespace

import pytest

from cli import (EX_CANTCREAT, EX_DATAERR, EX_NOUSER, EX_UNAVAILABLE, Smtpusers,
                 log_in_as, package)
from hooks.panelsite import Site, install
from places import free_port, workdir
from redisserver import ReplyError, wait_until
from topologies import Cluster, Sentinels
from transfers import HASH, contents, lines_of, tally, user
from vectors import taken

# One that waits for a Sentinel that does not answer is not to wait long.
HASTY = {"redis_timeout": 2000}


class Pure(Smtpusers):
    """Without the parser that is written in C."""

    def argv(self, *args):
        return ["python3", "-IB", "-c", "import runpy, sys\n"
                "sys.modules['hiredis'] = None\n"
                "sys.argv = sys.argv[1:]\n"
                "runpy.run_path(sys.argv[0], run_name='__main__')",
                *super().argv(*args)]


# The servers, and by which parser.
CASES = {"sentinels": (Sentinels, Smtpusers), "cluster": (Cluster, Pure)}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    make, command = CASES[request.param]
    with make() as servers:
        yield servers, command


@pytest.fixture(scope="module")
def shared_cluster():
    with Cluster() as servers:
        yield servers


@pytest.fixture
def servers(case):
    case[0].cli("FLUSHALL")
    return case[0]


@pytest.fixture
def cluster(shared_cluster):
    shared_cluster.cli("FLUSHALL")
    return shared_cluster


@pytest.fixture
def sentinels():
    with Sentinels() as servers:
        yield servers


@pytest.fixture
def cmd(case, servers, tmp_path):
    return case[1](servers, tmp_path, **HASTY)


@pytest.fixture
def spread(cluster, tmp_path):
    return Smtpusers(cluster, tmp_path, **HASTY)


NAMES = ["u%02d" % number for number in range(12)]


def test_where_the_configuration_says_that_redis_is():
    """The relay reads the same: regress/vectors/places."""
    places = package("provision.places")
    for case in taken("places"):
        found = places.read_places(case.text)
        assert case.canonical == "%s %s %s" % (
            found.topology, found.name or "-",
            " ".join(map(str, found.at))), case


# What an operator does in the course of time

def records():
    yield {"type": "account", "name": "acme", "plan": "pro",
           "status": "allowed", "domains": ["example.org"]}
    for number, name in enumerate(NAMES):
        yield user(name, mode="all", status="allowed", account="acme",
                   domains=["%s.example" % name], password=HASH,
                   **({"ip_auth": "192.0.2.%d" % number} if number % 2
                      else {}))


@pytest.fixture
def filled(cmd):
    return fill(cmd)


def fill(cmd):
    data = lines_of(*records())
    assert cmd.ok("import", stdin=data).stdout == tally(added=13)
    return cmd


def test_a_file_in_and_out(filled):
    cmd, data = filled, lines_of(*records())
    assert cmd.owner("192.0.2.3") == "u03"
    for options in ((), ("--replace",)):
        assert cmd.ok("import", *options, stdin=data).stdout == tally(same=13)
    text = cmd.ok("export").stdout
    before = contents(cmd.server)
    cmd.server.cli("FLUSHALL")
    assert cmd.ok("import", stdin=text.encode()).stdout == tally(added=13)
    assert contents(cmd.server) == before
    assert cmd.ok("check").stdout == ""


def test_users_come_and_go(filled):
    cmd = filled
    cmd.ok("add", "new", "--stdin", stdin=b"Some-Secret-Word-9\n")
    assert cmd.fails(EX_CANTCREAT, "add", "u00", "--no-password")
    cmd.ok("set", "u00", "quota", "100")
    cmd.ok("domain", "add", "u00", "example.net")
    cmd.ok("source", "add", "u00", "192.0.2.0/24", "2001:db8::1")
    cmd.ok("source", "rm", "u00", "2001:db8::1")
    cmd.ok("block", "u01")
    shown = cmd.json("show", "u00")
    assert (shown["quota"], shown["domains"], shown["ips"]) == (
        "100", ["example.net", "u00.example"], ["192.0.2.0/24"])
    assert cmd.json("quota", "u00", "--reset")[0]["count"] == 100
    cmd.server.cli("XADD", cmd.key("u00", ":log"), "*", "event", "login")
    assert json.loads(cmd.ok("log", "u00", "--json").stdout)[
        "event"] == "login"
    cmd.server.cli("HSET", "smtp:report:{%018d}" % 7, "reason", "user",
                   "user", "u00")
    assert cmd.json("report", "%018d" % 7)["user"] == "u00"
    assert [row["name"] for row in cmd.json("list")] == ["new", *NAMES]
    assert cmd.ok("list", "--names", "--status", "blocked").stdout == "u01\n"
    cmd.ok("rm", "u00", "--yes", "--purge")
    assert cmd.fails(EX_NOUSER, "show", "u00")
    assert not any("u00" in key for key in cmd.server.cli("KEYS", "*"))
    assert cmd.ok("complete", "user", "u0").stdout.split() == NAMES[1:10]


def test_an_address_is_set_moved_and_cleared(filled):
    cmd = filled
    assert "another user" in cmd.fails(EX_CANTCREAT, "ipauth", "set", "u00",
                                       "192.0.2.1")
    assert "192.0.2.1 no longer" in cmd.ok("ipauth", "set", "u01",
                                           "2001:db8::1").stderr
    assert (cmd.owner("192.0.2.1"), cmd.owner("2001:db8::1")) == (None, "u01")
    assert cmd.json("show", "u01")["ip_auth_claimed"]
    cmd.ok("ipauth", "clear", "u01")
    assert cmd.owner("2001:db8::1") is None
    assert "ip_auth" not in cmd.fields("u01")
    cmd.ok("rm", "u03", "--yes")
    assert cmd.owner("192.0.2.3") is None


def test_a_user_is_renamed_with_all_there_is(filled):
    cmd = filled
    cmd.ok("source", "add", "u01", "192.0.2.0/24")
    cmd.server.cli("XADD", cmd.key("u01", ":log"), "*", "event", "login")
    cmd.server.cli("SET", cmd.key("u01", ":used:quota"), "x", "EX", 5000)
    before = contents(cmd.server)
    # What a former user of the name has left behind is not the new one's.
    cmd.server.cli("XADD", cmd.key("new", ":log"), "*", "event", "old")

    assert cmd.fails(EX_CANTCREAT, "rename", "u01", "u02")
    assert cmd.fails(EX_NOUSER, "rename", "nobody", "new")
    cmd.ok("rename", "u01", "new")

    after = contents(cmd.server)
    assert after.pop("smtp:ip:{192.0.2.1}") == "new"
    assert before.pop("smtp:ip:{192.0.2.1}") == "u01"
    assert after == {name.replace("{u01}", "{new}"): content
                     for name, content in before.items()}
    assert 4000 < cmd.server.cli("TTL", cmd.key("new", ":used:quota")) <= 5000


def test_an_account_and_its_users(filled):
    cmd = filled
    cmd.ok("account", "domain", "add", "acme", "example.net")
    cmd.ok("account", "set", "acme", "status", "blocked")
    assert cmd.json("account", "show", "acme")["domains"] == [
        "example.net", "example.org"]
    assert cmd.json("account", "list")[0]["name"] == "acme"
    assert cmd.ok("list", "--names", "--account", "acme").stdout.split() == (
        NAMES)
    cmd.ok("account", "rm", "acme", "--yes")
    assert {cmd.fields(name)["status"] for name in NAMES} == {"blocked"}


def test_an_address_in_a_file(filled):
    """It moves, it goes, and nobody takes another's."""
    cmd = filled
    moved = lines_of(user("u01", ip_auth="192.0.2.99"),
                     user("u03", ip_auth=None))
    assert cmd.ok("import", "--replace", stdin=moved).stdout == tally(
        changed=2)
    assert [cmd.owner("192.0.2.%d" % n) for n in (1, 3, 99)] == [
        None, None, "u01"]
    before = contents(cmd.server)
    for options in ((), ("--replace",)):
        result = cmd.run("import", *options, stdin=lines_of(
            user("new", ip_auth="192.0.2.99", mode="all")))
        assert result.returncode == EX_DATAERR
        assert "another user has this address" in result.stderr
        assert contents(cmd.server) == before


def test_a_record_too_large_for_a_call(cmd):
    domains = ["d%d.example" % number for number in range(6000)]
    data = lines_of(user("u00", domains=domains, ip_auth="192.0.2.1"))
    assert cmd.ok("import", stdin=data).stdout == tally(added=1)
    assert cmd.owner("192.0.2.1") == "u00"
    assert cmd.members("u00", ":domains") == set(domains)
    assert len(json.loads(cmd.ok("export").stdout)["domains"]) == 6000
    cmd.ok("suppress", "add", "u00", "bob@example.com")
    assert cmd.ok("suppress", "list", "u00").stdout == "bob@example.com\n"


def test_what_is_wrong_is_found_and_mended(filled):
    cmd = filled
    cmd.server.cli("SET", "smtp:ip:{192.0.2.200}", "u00")
    cmd.server.cli("SET", "smtp:ip:{192.0.2.201}", "nobody")
    cmd.server.cli("HSET", cmd.key("u04"), "ip_auth", "192.0.2.202")
    cmd.server.cli("HSET", cmd.key("u02"), "account", "lost")
    cmd.server.cli("SADD", cmd.key("gone", ":domains"), "example.org")
    cmd.server.cli("SADD", cmd.key("u06", ":domains"), "EXAMPLE.net")
    wrong = {("claim", "192.0.2.200"), ("claim", "192.0.2.201"),
             ("claim", "u04"), ("account", "u02"), ("orphan", "gone"),
             ("form", "u06")}
    found = json_lines(cmd.run("check", "--json"))
    assert {(row["kind"], row["name"]) for row in found} == wrong
    found = json_lines(cmd.run("check", "--fix", "--json"))
    assert [row["name"] for row in found if row["fixed"] is None] == ["u02"]
    found = json_lines(cmd.run("check", "--json"))
    assert [row["name"] for row in found] == ["u02"]
    assert cmd.owner("192.0.2.200") is None


def json_lines(result):
    assert result.returncode == EX_DATAERR, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_the_servers_themselves(filled):
    said = filled.run("check", "--server", "--relay-user", "root").stdout
    assert "fail-over" in said
    assert not any(word in said for word in (
        "cannot use", "append-only", "functions"))


def test_with_the_rights_that_setup_prints(servers, tmp_path):
    for server in servers.servers:
        log_in_as(server, "command", tmp_path)
    cmd = Smtpusers(servers, tmp_path, redis_user="command",
                    redis_password_file=str(tmp_path / "command.pw"), **HASTY)
    cmd.ok("import", stdin=lines_of(*records()))
    cmd.ok("rename", "u01", "other")
    cmd.ok("rm", "u03", "--yes")
    cmd.ok("log", "other")
    cmd.ok("export")
    cmd.ok("check", "--fix")
    for server in servers.servers:
        server.cli("ACL", "DELUSER", "command")


@pytest.mark.parametrize("make", [Sentinels, Cluster])
def test_valkey(make, tmp_path):
    with make("valkey-server") as servers:
        cmd = Smtpusers(servers, tmp_path, **HASTY)
        test_a_file_in_and_out(fill(cmd))
        test_a_user_is_renamed_with_all_there_is(cmd)


# The hooks

@pytest.fixture(scope="module")
def prefix():
    return install()


def test_a_panel_tells_of_accounts(servers, prefix):
    site = Site(prefix, servers)
    site.event("domain.created", "acme", "example.org")
    servers.cli("HSET", "smtp:user:{bob}", "account", "acme")
    site.event("account.suspended", "acme")
    site.drain()
    assert servers.cli("SMEMBERS", "smtp:account:{acme}:domains") == [
        "example.org"]
    site.event("account.deleted", "acme")
    site.drain()
    assert servers.cli("HGET", "smtp:user:{bob}", "status") == "blocked"


# Servers that change while the command is at it

def linked(servers):
    """What the command asks once it has connected."""
    conf = package("provision.configuration").parse_configuration(
        'redis = "%s"\nprefix = "smtp:"\nquota_period = 86400\n'
        'redis_timeout = 2000\nredis_db = 0' % servers.url)
    return package("provision.servers").connect(conf)


def set_quota(redis, quota):
    """smtpusers set u00 quota, from there on."""
    package("provision.users").do_set(SimpleNamespace(
        connect=lambda: redis, name="u00", field="quota", value=quota))


def test_set_where_the_slot_has_moved_meanwhile(spread, cluster):
    spread.ok("add", "u00", "--no-password")
    key = spread.key("u00")
    there = cluster.owner(key)
    other = next(node for node in cluster.primaries() if node is not there)
    redis = linked(cluster)
    set_quota(redis, "6")
    cluster.move(cluster.slot(key), there, other)
    there.cli("CONFIG", "RESETSTAT")
    set_quota(redis, "7")
    assert "errorstat_MOVED" in there.cli("INFO", "errorstats")
    assert spread.fields("u00")["quota"] == "7"
    redis.close()
    cluster.move(cluster.slot(key), other, there)
    cluster.wait_settled()


def test_set_while_the_slot_moves(spread, cluster, tmp_path):
    """What is said to be done is done, and nothing is lost or half done."""
    spread.ok("add", "u00", "--no-password", "--domain", "example.org")
    spread.ok("set", "u00", "quota", "1")
    key = spread.key("u00")
    there = cluster.owner(key)
    other = next(node for node in cluster.primaries() if node is not there)
    hasty = Smtpusers(cluster, tmp_path, redis_timeout=100)
    done, codes = ["1"], []

    def between():
        quota = str(100 + len(codes))
        codes.append(hasty.run("set", "u00", "quota", quota).returncode)
        if codes[-1] == 0:
            done.append(quota)

    cluster.move(cluster.slot(key), there, other, between)
    assert len(codes) >= 2 and set(codes) <= {0, EX_UNAVAILABLE}
    shown = spread.json("show", "u00")
    assert (shown["quota"], shown["domains"]) == (done[-1], ["example.org"])
    spread.ok("set", "u00", "quota", "2")
    assert spread.fields("u00")["quota"] == "2"
    cluster.move(cluster.slot(key), other, there)
    cluster.wait_settled()


def test_set_across_a_fail_over_of_a_cluster(spread, cluster):
    """Who was the primary names the one that is."""
    spread.ok("add", "u00", "--no-password")
    key = spread.key("u00")
    redis, former = linked(cluster), cluster.owner(key)
    replica = cluster.fail_over(former)
    wait_until(lambda: replica.is_primary() and former.is_replica(), 20,
               "the change")
    set_quota(redis, "7")
    redis.close()
    assert replica.cli("HGET", key, "quota") == "7"
    cluster.wait_settled()


def test_set_across_a_fail_over_of_sentinels(sentinels, tmp_path):
    """Who was the primary takes nothing, and the next command finds the one
    that is."""
    cmd = Smtpusers(sentinels, tmp_path, **HASTY)
    cmd.ok("add", "u00", "--no-password")
    redis = linked(sentinels)
    former = sentinels.fail_over()
    sentinels.wait_other(former)
    wait_until(former.is_replica, 20, "the former to follow")
    with pytest.raises(package("provision.failure").Failure) as failure:
        set_quota(redis, "7")
    assert failure.value.code == EX_UNAVAILABLE
    assert "quota" not in cmd.fields("u00")
    cmd.ok("set", "u00", "quota", "8")
    assert sentinels.primary().cli("HGET", cmd.key("u00"), "quota") == "8"


@pytest.mark.parametrize("make", [Sentinels, Cluster])
def test_set_while_a_primary_is_gone(make, tmp_path):
    with make() as servers:
        cmd = Smtpusers(servers, tmp_path, redis_timeout=500)
        key = cmd.key("u00")
        cmd.ok("add", "u00", "--no-password")
        former = servers.owner(key) if make is Cluster else servers.primary()
        replicas = 1 if make is Cluster else 2
        with former.connect() as link:
            link.command("HSET", key, "description", "x")
            assert link.command("WAIT", replicas, 0) == replicas
        former.kill()

        def is_set():
            result = cmd.run("set", "u00", "quota", "9")
            assert result.returncode in (0, EX_UNAVAILABLE), result.stderr
            return result.returncode == 0

        wait_until(is_set, 60, "somebody to take it")
        assert cmd.fields("u00")["quota"] == "9"
        assert cmd.fields("u00")["description"] == "x"


# A cluster that moves

def test_slots_that_have_moved(spread, cluster, tmp_path):
    spread.ok("add", "u00", "--no-password", "--domain", "example.org")
    key = spread.key("u00")
    spread = Smtpusers(cluster, tmp_path, redis_timeout=100)
    there = cluster.owner(key)
    other = next(node for node in cluster.primaries() if node is not there)
    met = []

    def between():
        # One key is here and the others are there.
        met.append(spread.run("show", "u00", "--json"))
        met.append(spread.run("list", "--names"))

    cluster.move(cluster.slot(key), there, other, between)
    assert cluster.owner(key) is other
    shown, listed = met[:2]
    # Never the half of it.
    assert shown.returncode == EX_UNAVAILABLE, shown.stdout
    assert listed.returncode == EX_UNAVAILABLE
    assert "are being moved" in listed.stderr
    assert spread.ok("list", "--names").stdout == "u00\n"
    assert spread.json("show", "u00")["domains"] == ["example.org"]
    cluster.move(cluster.slot(key), other, there)
    cluster.wait_settled()


def test_one_node_of_the_configuration_is_enough(spread, cluster, tmp_path):
    spread.ok("add", "u00", "--no-password")
    one = next(node for node in cluster.primaries()
               if node is not cluster.owner(spread.key("u00")))
    url = "cluster:127.0.0.1:%d,%s" % (free_port(), one.address)
    lone = Smtpusers(cluster, tmp_path, redis=url, **HASTY)
    assert lone.json("show", "u00")["name"] == "u00"
    lone = Smtpusers(cluster, tmp_path, redis="cluster:127.0.0.1:%d" %
                     free_port(), **HASTY)
    assert "cannot connect to Redis" in lone.fails(EX_UNAVAILABLE, "list")


def test_the_functions_of_redis_need_one_slot(spread, cluster):
    """That is why the command takes steps."""
    spread.ok("add", "u00", "--no-password")
    with pytest.raises(ReplyError, match="^CROSSSLOT "):
        cluster.cli("FCALL", "smtpusers_user_ipauth", 1, spread.key("u00"),
                    "192.0.2.1")


def test_a_rename_is_cut_anywhere(spread, cluster):
    """Nobody is there twice, nothing is lost, and the same words finish it."""
    def rename(redis):
        package("provision.renaming").rename_in_cluster(redis, "u00", "u01")

    spread.ok("list")
    count, done = 0, False
    while not done:
        cluster.cli("FLUSHALL")
        for words in (("HSET", spread.key("u00"), "ip_auth", "192.0.2.1"),
                      ("SET", spread.ip_key("192.0.2.1"), "u00"),
                      ("SADD", spread.key("u00", ":domains"), "example.org"),
                      ("SET", spread.key("u00", ":used:quota"), "5")):
            cluster.cli(*words)
        count += 1
        done = not interrupted(linked(cluster), count, rename)
        there = [bool(cluster.cli("EXISTS", spread.key(name)))
                 for name in ("u00", "u01")]
        assert there.count(True) <= 1, count
        if not there[1]:
            interrupted(linked(cluster), -1, rename)
        assert contents(cluster) == {
            spread.key("u01"): {"ip_auth": "192.0.2.1"},
            spread.ip_key("192.0.2.1"): "u01",
            spread.key("u01", ":domains"): ["example.org"],
            spread.key("u01", ":used:quota"): "5"}
    assert count > 10


class Cut(Exception):
    """The command is ended here."""


def interrupted(redis, count, action):
    """Whether it was ended before its command of this number."""
    left = count
    send = redis.send

    def counting(commands):
        nonlocal left
        left -= 1
        if left == 0:
            raise Cut
        send(commands)

    redis.send = counting
    try:
        action(redis)
    except Cut:
        return True
    finally:
        redis.close()
    return False


# Sentinels that disagree

def test_what_most_sentinels_name_counts(sentinels, tmp_path):
    cmd = Smtpusers(sentinels, tmp_path, redis_timeout=1000)
    cmd.ok("add", "u00", "--no-password")
    first = sentinels.primary()
    # Stopped, it takes itself for the primary still when it is woken.
    first.pause()
    sentinels.sentinels[0].pause()
    others = sentinels.sentinels[1:]
    wait_until(lambda: {one.named() for one in others} != {first.port} and
               len({one.named() for one in others}) == 1, 20,
               "another primary")
    assert cmd.json("show", "u00")["name"] == "u00"
    first.resume()
    cmd.ok("add", "u01", "--no-password")
    second = sentinels.at(others[0].named())
    assert second.cli("EXISTS", cmd.key("u01"))
    # One alone is no majority.
    others[0].pause()
    assert "more than half of the Sentinels" in cmd.fails(
        EX_UNAVAILABLE, "list")
    for one in sentinels.sentinels:
        one.resume()


def test_sentinels_that_ask_for_a_password(tmp_path):
    path = workdir("word") / "password"
    path.write_text("open-up\n")
    with Sentinels(password="open-up") as servers:
        cmd = Smtpusers(servers, tmp_path, redis_password_file=str(path))
        cmd.ok("add", "u00", "--no-password")
        assert cmd.ok("list", "--names").stdout == "u00\n"


def test_a_name_that_sentinels_do_not_know(servers, tmp_path):
    if isinstance(servers, Cluster):
        return
    cmd = Smtpusers(servers, tmp_path,
                    redis=servers.url.replace("users@", "others@"), **HASTY)
    assert "knows no others" in cmd.fails(EX_UNAVAILABLE, "list")

