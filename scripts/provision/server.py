# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What the server and the configuration must be like for the relay to work
and for quotas to hold: check --server, and the questions of setup."""

import os
import pwd
import stat

from .configuration import read_configuration
from .connection import ReplyError
from .failure import EX_NOUSER, EX_UNAVAILABLE, Failure
from .functions import functions_problem
from .inspection import Finding
from .places import read_places
from .servers import connect, primary_named
from .text import decode, visible

# Whom smtpd runs its tables and filters as: OpenBSD, Debian, others.
RELAY_USERS = ("_smtpd", "opensmtpd", "smtpd")


def relay_user(name):
    """What the system knows of smtpd's user."""
    for candidate in (name,) if name else RELAY_USERS:
        try:
            return pwd.getpwnam(candidate)
        except KeyError:
            continue
    raise Failure(EX_NOUSER, "%s: no such user on this system; --relay-user "
                  "names whom smtpd runs filters as" %
                  (visible(name) if name else " ".join(RELAY_USERS)))


def check_server(file, name):
    """The findings, as the relay's user where this may become it."""
    user = relay_user(name)
    found = [Finding("server", user.pw_name, visible(file), problem)
             for problem in as_user(user, file, server_problems)]
    if os.geteuid() not in (0, user.pw_uid):
        found.append(Finding(
            "server", user.pw_name, visible(file), "not looked at as this "
            "user, which only root and the user itself can"))
    return found


def as_user(user, file, look):
    """Runs look(file) as the user, in a process of its own; its problems."""
    if os.geteuid() != 0 or user.pw_uid == 0:
        return look(file)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os._exit(child_as(user, file, look, writer))
    os.close(writer)
    with open(reader, "rb") as pipe:
        text = decode(pipe.read())
    status = os.waitpid(child, 0)[1]
    if status != 0:
        raise Failure(EX_UNAVAILABLE, "cannot try the files and Redis as the "
                      "user " + user.pw_name)
    return text.split("\0")[:-1]


def child_as(user, file, look, writer):
    try:
        os.initgroups(user.pw_name, user.pw_gid)
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
        with open(writer, "w", encoding="utf-8",
                  errors="surrogateescape") as pipe:
            pipe.writelines(problem + "\0" for problem in look(file))
    except OSError:
        return 1
    return 0


def server_problems(file):
    """What is not so, in words."""
    try:
        conf = read_configuration(file)
        redis = connect(conf)
        return [*password_problems(conf), *sentinel_problems(conf),
                *(about(redis, server, problem)
                  for server in redis.primaries()
                  for problem in reply_problems(
                      server, conf["redis_replicas"]))]
    except Failure as failure:
        return [reach_of(file, failure)]


def about(redis, server, problem):
    return "%s: %s" % (server.place, problem) if redis.spread else problem


def sentinel_problems(conf):
    """What one of them lacks is no failure, until there are more."""
    places = read_places(conf["redis"])
    for sentinel in places.at if places.topology == "sentinel" else ():
        try:
            primary_named(conf, places, sentinel)
        except Failure as failure:
            yield str(failure)


def reach_of(file, failure):
    return "cannot use Redis by %s: %s" % (visible(file), failure)


def password_problems(conf):
    path = conf.get("redis_password_file")
    if path and stat.S_IMODE(os.stat(path).st_mode) & 0o007:
        yield "%s: others on this system may read or write it" % visible(path)


def reply_problems(redis, replicas):
    try:
        info = info_of(redis)
    except ReplyError as error:
        yield "INFO: %s: nothing can be told of the server" % error
        return
    yield from info_problems(info, replicas)
    problem = functions_problem(redis)
    if problem:
        yield problem


def info_problems(info, replicas):
    """What the server says of itself that endangers users or counters. The
    relay says the same in its log: lib/serverinfo.c."""
    yield from eviction(info)
    yield from persistence(info)
    yield from roles(info, replicas)


def info_of(redis):
    return parsed(redis.one("INFO"))


def parsed(text):
    lines = text.splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def eviction(info):
    policy = info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        return
    if info.get("maxmemory") != "0":
        yield ("maxmemory-policy is %s: when memory is used up, users and "
               "counters vanish; it should be noeviction" % policy)
    else:
        yield ("maxmemory-policy is %s, which counts once there is a "
               "maxmemory; it should be noeviction" % policy)


def persistence(info):
    if info.get("aof_enabled") != "1":
        yield ("there is no append-only file: what was written last, counters "
               "among it, is lost with a crash; appendonly should be yes")
    elif info.get("aof_last_write_status", "ok") != "ok":
        yield "the append-only file cannot be written"


def roles(info, replicas):
    connected = int(info.get("connected_slaves", 0))
    if info.get("role", "master") != "master":
        yield "this is a replica, which cannot be written"
    elif connected < replicas:
        yield ("redis_replicas is %d, and there are %d: messages with a quota "
               "are deferred" % (replicas, connected))
    elif connected > 0 and replicas == 0:
        yield ("there are replicas: after a fail-over to one of them, "
               "messages that were counted last may not be counted; see "
               "redis_replicas")
