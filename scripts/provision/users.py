# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The commands about users."""

from .accounts import account_problems, warn_of_account
from .addresses import clear_ip_auth, is_claimed
from .failure import EX_CANTCREAT, EX_USAGE, Failure
from .functions import call, call_json, judged
from .passwords import (
    hash_password, read_password, tell_generated, warn_if_weak)
from .quotas import quota_text, usage_text
from .records import fold, get_fields, user_key
from .connection import ReplyError
from .text import (
    columns, confirm, list_rows, print_json, printable, shorten, visible)

DEFAULTS = {"status": "allowed", "mode": "default"}

# What set changes; no value takes a field away.
SETTABLE = ("mode", "status", "account", "quota", "quota_period", "rate",
            "description")
NEEDED = ("mode", "status")

# How many domains are told to what judges a password.
KNOWN_DOMAINS = 100


def do_add(args):
    redis = args.connect()
    key = user_key(redis, args.name)
    if redis.one("EXISTS", key):
        raise Failure(EX_CANTCREAT, "%s: exists already" % args.name)
    fields = {field: getattr(args, field) for field in SETTABLE
              if getattr(args, field) is not None}
    words = judged(redis, fields, args.domain)
    if not args.no_password:
        password = read_password(args)
        words += ["password", hash_password(password, args.scheme)]
        warn_if_weak(args, password, args.domain)
    call(redis, "user_add", key, *words)
    if not args.no_password:
        tell_generated(args, password)
    if args.account:
        warn_of_account(redis, fold(args.account))


def do_passwd(args):
    redis = args.connect()
    get_fields(redis, args.name)
    password = read_password(args)
    stored = hash_password(password, args.scheme)
    warn_if_weak(args, password, known_domains(redis, args.name))
    call(redis, "user_set", user_key(redis, args.name), "password", stored)
    tell_generated(args, password)


def known_domains(redis, name):
    """Some of them, and none where that cannot be told."""
    try:
        return redis.one("SSCAN", user_key(redis, name, ":domains"), "0",
                         "COUNT", str(KNOWN_DOMAINS))[1]
    except ReplyError:
        return []


def do_show(args):
    redis = args.connect()
    user = call_json(redis, "user_get", user_key(redis, args.name),
                     str(redis.quota_period))
    claimed = is_claimed(redis, args.name, user["ip_auth"])
    user["ip_auth_claimed"] = bool(claimed)
    if claimed is False:
        user["problems"].append("ip_auth: not claimed for this user")
    user["problems"] += account_problems(redis, user["account"])
    if args.json:
        print_json(user)
        return
    for line in columns(list(user_rows(user, redis.quota_period))):
        print(line)


def user_rows(user, quota_period):
    yield "name", user["name"]
    for field in ("status", "mode", "account", "password"):
        yield field, visible(user[field] or DEFAULTS.get(field, "-"))
    yield "quota", visible(quota_text(user, quota_period))
    yield "rate", visible(user["rate"] or "-")
    yield from list_rows("used", map(usage_text, user["usage"] or []))
    yield "ip auth", visible(ip_auth_text(user))
    yield from list_rows("sources", shorten(user["ips"]) or ["any"])
    yield from list_rows("domains", shorten(user["domains"]) or ["-"])
    yield "description", visible(user["description"] or "-")
    yield "created", visible(user["created"] or "-")
    yield "last login", visible(user["last_login"] or "-")
    yield "last message", visible(user["last_message"] or "-")
    for field, value in sorted(user["other"].items()):
        yield visible(field), visible(value)
    yield from list_rows("problems", user["problems"], printable)


def ip_auth_text(user):
    if not user["ip_auth"]:
        return "-"
    return user["ip_auth"] + ("" if user["ip_auth_claimed"] else " (void)")


def do_set(args):
    field = args.field.replace("-", "_")
    if field not in SETTABLE:
        raise Failure(EX_USAGE, "%s: none of %s" % (
            visible(args.field), ", ".join(SETTABLE)))
    if args.value is None and field in NEEDED:
        raise Failure(EX_USAGE, "%s needs a value" % field)
    # A variable of a script that is not set must not lift a limit.
    if args.value == "":
        raise Failure(EX_USAGE, "%s: the value is empty%s" % (
            field, "" if field in NEEDED else "; leave it out to take the "
            "field away"))
    redis = args.connect()
    set_field(redis, args.name, field, args.value or "")
    if field == "account" and args.value:
        warn_of_account(redis, fold(args.value))


def set_field(redis, name, field, value):
    call(redis, "user_set", user_key(redis, name), field, value)


def do_block(args):
    set_field(args.connect(), args.name, "status", "blocked")


def do_allow(args):
    set_field(args.connect(), args.name, "status", "allowed")


# How often somebody may give a user another address while it is removed.
REMOVALS = 10


def do_rm(args):
    redis = args.connect()
    get_fields(redis, args.name)
    confirm(args, "Remove %s, with its domains, addresses, counters and log?" %
            args.name)
    for _ in range(REMOVALS):
        held = remove_user(redis, args.name)
        if held is None:
            return
    raise held


def remove_user(redis, name):
    """None, or what keeps it from being removed."""
    try:
        clear_ip_auth(redis, name)
        call(redis, "user_del", user_key(redis, name))
    except ReplyError as error:
        if error.kind != "HELD":
            raise
        return error
    return None
