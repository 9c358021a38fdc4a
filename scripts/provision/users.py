# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The commands about users."""

from .accounts import (
    account_problems, complete, set_field, warn_of_account)
from .addresses import claim_of, clear_address
from .connection import ReplyError
from .events import set_status
from .failure import EX_CANTCREAT, Failure
from .functions import call, call_json, judged, warned
from .names import fold
from .passwords import (
    hash_password, read_password, tell_generated, warn_if_weak)
from .quotas import quota_text, usage_text
from .records import ABSENT, get_fields, user_key
from .renaming import rename_in_cluster
from .text import (
    columns, confirm, list_rows, print_json, printable, shorten, visible)

# What add has options for.
OPTIONS = ("mode", "status", "account", "quota", "quota_period", "rate",
           "description")

# Fields that have a row of their own.
SHOWN = (*OPTIONS, "name", "password", "ip_auth", "created")

# How many domains are told to what judges a password.
KNOWN_DOMAINS = 100


def do_add(args):
    redis = args.connect()
    key = user_key(redis, args.name)
    if redis.one("EXISTS", key):
        raise Failure(EX_CANTCREAT, "%s: exists already" % args.name)
    fields = {field: getattr(args, field) for field in OPTIONS
              if getattr(args, field) is not None}
    words = judged(redis, "user", fields, args.domain)
    if not args.no_password:
        password = read_password(args)
        words += ["password", hash_password(password, args.scheme)]
        warn_if_weak(args, password, args.domain)
    warned(call(redis, "user_add", key, *words))
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
    warned(call(redis, "user_set", user_key(redis, args.name), "password",
                stored))
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
    key = user_key(redis, args.name)
    user = call_json(redis, "user_get", key, str(redis.quota_period))
    complete(redis, user, key, "domains", "domain_count")
    complete(redis, user, key, "ips", "ip_count")
    claim = claim_of(redis, user["ip_auth"])
    user["ip_auth_claimed"] = claim == args.name
    if claim not in (None, args.name):
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
        yield field, visible(user[field] or ABSENT.get(field, "-"))
    yield "quota", visible(quota_text(user, quota_period))
    yield "rate", visible(user["rate"] or "-")
    yield from list_rows("used", map(usage_text, user["usage"] or []))
    yield "ip auth", visible(ip_auth_text(user))
    yield from list_rows("sources", shorten(user["ips"]) or [
        "none" if user["restricted"] == "1" else "any"])
    yield from list_rows("domains", shorten(user["domains"]) or ["-"])
    if user["suppressed_count"]:
        yield "suppressed", str(user["suppressed_count"])
    yield "description", visible(user["description"] or "-")
    yield from other_rows(user)
    yield "created", visible(user["created"] or "-")
    yield "last login", visible(user["last_login"] or "-")
    yield "last message", visible(user["last_message"] or "-")
    for field, value in sorted(user["other"].items()):
        yield visible(field), visible(value)
    yield from list_rows("warnings", user["warnings"], printable)
    yield from list_rows("problems", user["problems"], printable)


def other_rows(user):
    """Fields that have no row of their own."""
    for field, value in user.items():
        if field == "last_login":
            return
        if value is not None and field not in SHOWN:
            yield field.replace("_", " "), visible(value)


def ip_auth_text(user):
    if not user["ip_auth"]:
        return "-"
    return user["ip_auth"] + ("" if user["ip_auth_claimed"] else " (void)")


def do_set(args):
    redis = args.connect()
    set_field(redis, "user", args)
    if args.field == "account" and args.value:
        warn_of_account(redis, fold(args.value))


def do_block(args):
    until = () if args.until is None else ("blocked_until", args.until)
    set_status(args.connect(), "user", args.name, "blocked", "command", *until)


def do_allow(args):
    set_status(args.connect(), "user", args.name, "allowed", "command")


def do_rm(args):
    redis = args.connect()
    get_fields(redis, args.name)
    confirm(args, "Remove %s, with its domains, addresses, counters%s?" % (
        args.name, " and log" if args.purge else ""))
    key = user_key(redis, args.name)
    purge = ("purge",) if args.purge else ()
    try:
        call(redis, "user_del", key, *purge)
        return
    except ReplyError as error:
        if error.kind != "CROSSSLOT":
            raise
    # In a cluster what authenticates goes first.
    held = get_fields(redis, args.name).get("ip_auth")
    if held:
        clear_address(redis, args.name, held)
    call(redis, "user_del", key, *purge)


def do_rename(args):
    redis = args.connect()
    if redis.spread:
        rename_in_cluster(redis, args.name, args.new)
        return
    call(redis, "user_rename", [user_key(redis, args.name),
                                user_key(redis, args.new)])
