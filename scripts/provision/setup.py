# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Writes a configuration that works, and says what belongs beside it."""

import os
import re
import socket
import sys
import tempfile

from .acl import RIGHTS, acl_rule
from .configuration import read_configuration
from .failure import (
    EX_CANTCREAT, EX_UNAVAILABLE, Failure, note)
from .server import as_user, relay_user, server_problems
from .text import visible

SOCKETS = ("/run/redis/redis-server.sock", "/run/redis/redis.sock",
           "/var/run/redis/redis.sock", "/run/valkey/valkey-server.sock",
           "/run/valkey/valkey.sock")
ELSEWHERE = "tcp:127.0.0.1:6379"

# Where certificates of a host are, and their keys.
CERTIFICATES = (
    ("/etc/letsencrypt/live/%s/fullchain.pem",
     "/etc/letsencrypt/live/%s/privkey.pem"),
    ("/etc/ssl/%s.fullchain.pem", "/etc/ssl/private/%s.key"),
    ("/etc/ssl/%s.crt", "/etc/ssl/private/%s.key"),
    ("/etc/ssl/certs/%s.pem", "/etc/ssl/private/%s.key"))

KEYS = (("redis", "redis"), ("redis_user", "redis_user"),
        ("redis_password_file", "password_file"), ("redis_ca", "ca"),
        ("prefix", "prefix"), ("report_url", "report_url"))


def do_setup(args):
    output = args.output or args.file
    if os.path.exists(output) and not args.force:
        raise Failure(EX_CANTCREAT, "%s: exists already; --force replaces "
                      "it" % visible(output))
    user = relay_user(args.relay_user)
    if args.redis is None:
        args.redis = ask("Where Redis is", found_redis())
    text = "".join('%s = "%s"\n' % (key, quoted(getattr(args, option)))
                   for key, option in KEYS
                   if getattr(args, option) is not None)
    conf = write(output, text, user)
    say("%s: written, and %s can reach Redis with it\n" % (
        visible(output), user.pw_name))
    print_smtpd(output)
    print_acl(conf)
    print_persistence()
    note("type smtpusers check --server later to see what is wrong")


def ask(question, default):
    """The default where there is nobody to ask."""
    if not sys.stdin.isatty():
        return default
    print("%s [%s]: " % (question, default), end="", file=sys.stderr,
          flush=True)
    return sys.stdin.readline().strip() or default


def found_redis():
    for path in SOCKETS:
        if os.path.exists(path):
            return "unix:" + path
    return ELSEWHERE


def quoted(text):
    return re.sub(r'(["\\])', r"\\\1", text)


def write(output, text, user):
    """A file that has been tried by whom it is for takes the place of the
    other."""
    directory = os.path.dirname(os.path.abspath(output))
    try:
        descriptor, path = tempfile.mkstemp(dir=directory,
                                            prefix=".smtpusers.conf.")
    except OSError as error:
        raise Failure(EX_CANTCREAT, "%s: %s" % (
            visible(directory), error.strerror)) from None
    try:
        with open(descriptor, "w", encoding="utf-8",
                  errors="surrogateescape") as file:
            file.write(text)
        os.chmod(path, 0o644)
        conf = tried(path, output, user)
        os.rename(path, output)
        return conf
    except BaseException:
        os.unlink(path)
        raise


def tried(path, output, user):
    conf = read_configuration(path)
    problems = [problem.replace(path, output) for problem in
                as_user(user, path, server_problems)]
    lost = [problem for problem in problems
            if problem.startswith("cannot use Redis")]
    if lost:
        raise Failure(EX_UNAVAILABLE, "%s, whom smtpd runs its tables and "
                      "filters as, %s" % (user.pw_name, lost[0]))
    for problem in problems:
        note(problem)
    return conf


def say(text=""):
    print(text)


# What belongs beside it

def host_name():
    return socket.getfqdn().lower() or "relay.example.org"


def certificate(host):
    for pair in CERTIFICATES:
        cert, key = (path % host for path in pair)
        if os.path.exists(cert):
            return cert, key
    return "/etc/ssl/%s.crt" % host, "/etc/ssl/private/%s.key" % host


def print_smtpd(output):
    host = host_name()
    cert, key = certificate(host)
    say("# In smtpd.conf(5):")
    if not os.path.exists(cert):
        say("# (there is no %s yet)" % visible(cert))
    say('pki "%s" cert "%s"' % (host, visible(cert)))
    say('pki "%s" key "%s"' % (host, visible(key)))
    say()
    say('table users smtpusers:%s' % visible(output))
    say('table aliases file:/etc/aliases')
    say('smtp max-message-size 35M')
    say('smtp limit max-mails 1000')
    say('filter users proc-exec "filter-smtpusers -f %s"' % visible(output))
    say()
    for address in ("0.0.0.0", "::"):
        for port in ("port 587 tls-require", "port 465 smtps"):
            say('listen on %s %s pki "%s" auth-optional <users> filter users'
                % (address, port, host))
    say()
    say('action "local" mbox alias <aliases>')
    say('action "sandbox" expand-only virtual { "@" = "/dev/null" }')
    say('action "relay" relay')
    say()
    say('match for local action "local"')
    say('match from any for domain "sandbox.invalid" action "sandbox"')
    say('match auth from any for any action "relay"')
    say('match from src <users> for any action "relay"')


def print_acl(conf):
    say("\n# Users of Redis, each with a password of its own in place of "
        "PASSWORD, by\n# redis-cli:")
    for role in RIGHTS:
        say(" ".join(acl_rule(conf["prefix"], role, "smtpusers-" + role)))
    say("# They survive a restart after ACL SAVE, where redis.conf names an "
        "aclfile,\n# and after CONFIG REWRITE where it names none.")


def print_persistence():
    say("\n# Quotas hold over a crash with these lines in redis.conf:\n"
        "appendonly yes\nappendfsync everysec\nmaxmemory-policy noeviction")
    say("# With appendfsync always not even the last second is lost.")
