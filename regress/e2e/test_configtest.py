# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The option -n of both programs: what would go wrong once smtpd runs them."""

import re
import subprocess

import pytest

from cli import package
from places import (PATIENCE, configuration, free_port, program,
                    workdir)
from redisserver import RedisServer
from topologies import Cluster, Sentinels

EX_NOUSER = 67
EX_UNAVAILABLE = 69
PROGRAMS = {"filter-smtpusers": ["-f"], "table-smtpusers": []}
SMTPD = "opensmtpd"
both = pytest.mark.parametrize("name", PROGRAMS)


def written(server, **keys):
    path = workdir("configtest") / "smtpusers.conf"
    path.write_text(configuration(**{"redis": server.url,
                                     "redis_timeout": 1000, **keys}))
    return path


def tried(name, path, *options, before=()):
    """Exit status and what is wrong, as smtpd's user unless told."""
    done = subprocess.run(
        [*before, program(name, "rel"), "-n", *options, *PROGRAMS[name], path],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=PATIENCE)
    # What is said of the server is not this option's.
    return done.returncode, "".join(
        line for line in done.stderr.splitlines(True)
        if "there is no append-only file" not in line)


@both
def test_all_is_well_and_stays_as_it_is(redis, name):
    path = written(redis)
    assert tried(name, path) == (0, "")
    assert redis.cli("DBSIZE") == 0


def test_what_is_in_effect_is_printed(redis):
    said = [subprocess.run([program("filter-smtpusers", "rel"), option, "-f",
                            written(redis)], capture_output=True,
                           check=True).stdout for option in ("-n", "-p")]
    assert said[0] == said[1]
    assert b"\nprefix = \"smtp:\"\n" in said[0]


@both
def test_a_configuration_that_smtpds_user_cannot_read(redis, name):
    path = written(redis)
    path.chmod(0o600)
    status, said = tried(name, path)
    assert status == 1
    assert "%s: Permission denied\n" % path in said
    assert "tried as %s:%s;" % (SMTPD, SMTPD) in said
    assert tried(name, path, "-u", "root") == (0, "")


@both
@pytest.mark.parametrize("key", ["redis_password_file", "redis_ca"])
def test_files_that_smtpds_user_cannot_read(redis, name, key):
    file = workdir("configtest") / "file"
    file.write_text("secret\n")
    file.chmod(0o640)
    path = written(redis, **{key: str(file)})
    status, said = tried(name, path)
    assert status == 1
    assert "%s:3: %s: %s: Permission denied\n" % (path, key, file) in said


def test_a_filter_has_one_group_and_a_table_all(redis):
    """Of smtpd's user, in a copy of the system's groups."""
    path = written(redis)
    path.chmod(0o640)
    subprocess.run(["chgrp", "games", path], check=True)
    grouped = ["unshare", "--mount", "sh", "-euc",
               "mount -t tmpfs none /mnt\n"
               "sed 's/^games:.*/&%s/' /etc/group >/mnt/group\n"
               "mount --bind /mnt/group /etc/group\n"
               'exec "$@"' % SMTPD, "sh"]
    assert tried("table-smtpusers", path, before=grouped) == (0, "")
    assert tried("filter-smtpusers", path, before=grouped)[0] == 1
    assert tried("filter-smtpusers", path, "-u", SMTPD + ":games") == (0, "")
    assert tried("table-smtpusers", path)[0] == 1


@both
def test_no_redis(redis, name):
    path = written(redis, redis="unix:/nonexistent/redis")
    status, said = tried(name, path)
    assert status == EX_UNAVAILABLE
    assert "/nonexistent/redis: No such file or directory\n" in said
    assert "cannot be used, for the reason in the line before\n" in said


@both
def test_a_socket_that_is_not_for_everybody(name):
    with RedisServer(workdir("redis"), extra=("--unixsocketperm", "700")) as \
            server:
        status, said = tried(name, written(server))
        assert status == EX_UNAVAILABLE
        assert re.search(r"Permission denied, as uid \d+ and gid \d+: see "
                         "Privileges", said)
        assert tried(name, written(server), "-u", "root") == (0, "")


@both
def test_a_wrong_password(redis, name):
    file = workdir("configtest") / "file"
    file.write_text("guess\n")
    path = written(redis, redis_user="relay", redis_password_file=str(file))
    status, said = tried(name, path)
    assert status == EX_UNAVAILABLE
    assert "WRONGPASS" in said
    assert "guess" not in said


@pytest.fixture
def granted(redis):
    """A configuration whose user of Redis has the rights that setup prints,
    but for some."""
    file = workdir("configtest") / "file"
    file.write_text("word\n")
    path = written(redis, redis_user="relay", redis_password_file=str(file))

    def grant(*without):
        redis.cli(*package("provision.acl").acl_rule(
            "smtp:", "relay", "relay", ">word"), *without)
        return path

    yield grant
    redis.cli("ACL", "DELUSER", "relay")


def needed():
    """Each right of a relay that it needs with any single server."""
    acl = package("provision.acl")
    return [right for right in acl.RIGHTS["relay"]
            if right not in ("select", "info", "wait", *acl.SEVERAL,
                             *acl.LOADING)
            and not right.startswith("cluster|")]


@both
def test_the_rights_that_setup_prints_are_enough(granted, name):
    assert tried(name, granted()) == (0, "")


@pytest.mark.parametrize("right", needed())
def test_a_right_that_is_missing(granted, redis, right):
    path = granted()
    plain = path.read_text()
    path.write_text(plain + "alarm sources {}\n")
    assert tried("filter-smtpusers", path) == (0, "")
    granted("-" + right)
    status, said = tried("filter-smtpusers", path)
    assert status == EX_UNAVAILABLE
    command = right.partition("|")[0].upper()
    assert re.search(r"redis: (.*\b%s\b.*: NOPERM|.*: NOPERM .* call %s$)" %
                     (command, command), said, re.M), said
    assert redis.cli("DBSIZE") == 0
    path.write_text(plain)
    status, said = tried("filter-smtpusers", path)
    needless = right in package("provision.acl").ALARMS
    assert status == (0 if needless else EX_UNAVAILABLE), said


def test_waiting_for_replicas(granted):
    path = granted("-wait")
    assert tried("filter-smtpusers", path) == (0, "")
    path.write_text(path.read_text() + "redis_replicas = 1\n")
    status, said = tried("filter-smtpusers", path)
    assert status == EX_UNAVAILABLE
    assert "redis: WAIT: NOPERM" in said


KEYS = [rule.replace("~", "~smtp:")
        for rule in package("provision.acl").KEYS["relay"]]


@pytest.mark.parametrize("keys", KEYS)
def test_keys_that_are_not_permitted(granted, keys):
    others = [rule for rule in KEYS if rule != keys]
    status, said = tried("filter-smtpusers", granted("resetkeys", *others))
    assert status == EX_UNAVAILABLE
    assert "NOPERM" in said


def test_functions_that_may_not_be_loaded(granted, redis):
    redis.cli("FUNCTION", "FLUSH")
    loading = ["-" + right for right in package("provision.acl").LOADING]
    status, said = tried("filter-smtpusers", granted(*loading))
    assert status == EX_UNAVAILABLE
    assert "FUNCTION" in said
    assert "smtpusers_version" in said or "Function not found" in said
    assert tried("table-smtpusers", granted(*loading)) == (0, "")
    assert tried("filter-smtpusers", granted()) == (0, "")
    assert tried("filter-smtpusers", granted(*loading)) == (0, "")


@both
def test_who_is_not_root_is_told(redis, name):
    path = written(redis)
    nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup",
              "--clear-groups"]
    assert tried(name, path, before=nobody) == (
        0, "%s: tried as the present user and not as %s, whom smtpd "
        "runs this as: run it as root\n"
        % (name, SMTPD))


@both
@pytest.mark.parametrize("who", ["nosuchuser", "root:nosuchgroup"])
def test_a_user_that_is_not_there(redis, name, who):
    status, said = tried(name, written(redis), "-u", who)
    assert status == EX_NOUSER
    assert who in said


# Many servers

@pytest.fixture(scope="module", params=[Sentinels, Cluster])
def several(request):
    with request.param() as servers:
        yield servers


def log_in(servers, *without):
    """A configuration whose user of Redis has the rights that setup prints,
    but for some, on each of the servers."""
    file = workdir("configtest") / "file"
    file.write_text("word\n")
    for server in servers.servers:
        server.cli(*package("provision.acl").acl_rule(
            "smtp:", "relay", "relay", ">word"), *without)
    return written(servers, redis_user="relay", redis_replicas=1,
                   redis_timeout=5000, redis_password_file=str(file))


@both
def test_all_is_well_with_many_servers(several, name):
    assert tried(name, log_in(several)) == (0, "")


@both
def test_a_right_that_is_missing_on_many_servers(several, name):
    path = log_in(several, "-hmget")
    status, said = tried(name, path)
    assert status == EX_UNAVAILABLE
    for server in writable(several):
        assert re.search(r"redis: %s: HMGET smtp:user:\{-n\d*\}: NOPERM" %
                         server.address, said), said
    assert tried(name, log_in(several)) == (0, "")


def writable(several):
    return several.primaries() if isinstance(several, Cluster) else \
        [several.primary()]


@both
def test_a_right_that_is_missing_on_one_of_many_servers(several, name):
    """Whichever it is, it has its own users of Redis."""
    path = log_in(several)
    for server in writable(several):
        server.cli("ACL", "SETUSER", "relay", "-hmget")
        status, said = tried(name, path)
        server.cli("ACL", "SETUSER", "relay", "+hmget")
        assert status == EX_UNAVAILABLE
        assert "redis: %s: HMGET smtp:user:{-n" % server.address in said
        assert [line for line in said.splitlines() if "NOPERM" in line and
                server.address not in line] == []
    assert tried(name, path) == (0, "")


@both
def test_the_right_to_learn_who_has_what(several, name):
    if isinstance(several, Sentinels):
        pytest.skip("Sentinels are not logged in to")
    status, said = tried(name, log_in(several, "-cluster"))
    assert status == EX_UNAVAILABLE
    assert "CLUSTER SLOTS: NOPERM" in said


@both
def test_one_alone_who_says_where_the_servers_are(several, name):
    """One node of a cluster is enough; one of three Sentinels is not."""
    first, *others = several.url.split(",")
    path = log_in(several)
    path.write_text(path.read_text() + 'redis = "%s"\n' % ",".join(
        [first, *("127.0.0.1:%d" % free_port() for _ in others)]) +
        "redis_timeout = 2000\n")
    status, said = tried(name, path)
    if isinstance(several, Cluster):
        assert (status, said.count("cannot be used")) == (0, 0)
    else:
        assert status == EX_UNAVAILABLE
        assert "cannot be used, for the reason in the line before\n" in said


@both
def test_what_a_program_lacks_at_its_start_is_named(name):
    path = workdir("start") / "smtpusers.conf"
    path.write_text(configuration(redis="unix:/nonexistent/redis"))
    result = subprocess.run(
        ["prlimit", "--nofile=7", program(name), *PROGRAMS[name], path],
        input="", capture_output=True, encoding="utf-8", timeout=PATIENCE,
        check=False)
    assert result.returncode == 1
    assert re.search("^%s: cannot start: starting .*: Too many open files$" %
                     name, result.stderr, re.MULTILINE), result.stderr
