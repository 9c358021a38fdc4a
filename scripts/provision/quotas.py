# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Quotas and rates, as the functions in Redis count them."""

from .failure import EX_DATAERR, Failure
from .functions import call
from .records import account_key, get_fields, get_hash, no_account, user_key
from .text import print_json

UNITS = {"m": 60, "h": 3600, "d": 86400}

# How many sender domains people are shown: those that have used most.
SHOWN_DOMAINS = 20


def do_quota(args):
    redis = args.connect()
    get_fields(redis, args.name)
    show_quota(redis, args, "user", user_key)


def do_account_quota(args):
    redis = args.connect()
    if not get_hash(redis, account_key(redis, args.name)):
        raise no_account(args.name)
    show_quota(redis, args, "account", account_key)


def show_quota(redis, args, kind, key_of):
    if args.reset:
        call(redis, kind + "_reset", key_of(redis, args.name))
    usage = get_usage(redis, args.name, key_of)
    if kind == "user":
        usage += sender_usage(redis, args.name)
    if args.json:
        print_json(usage)
        return
    for line in usage_lines(usage):
        print(line)


def usage_lines(usage):
    """Of a sender domain all limits are behind each other."""
    domains = {}
    for row in usage:
        if "domain" in row:
            domains.setdefault(row["domain"], []).append(row)
        else:
            yield "%-5s  %s" % (row["limit"], usage_text(row))
    most = sorted(domains, key=lambda name: (-max(
        row["used"] / row["count"] for row in domains[name]), name))
    for name in most[:SHOWN_DOMAINS]:
        yield "%s  %s" % (name, "; ".join(map(usage_text, domains[name])))
    if len(most) > SHOWN_DOMAINS:
        yield "and %d more sender domains" % (len(most) - SHOWN_DOMAINS)
    if not usage:
        yield "unlimited"


def get_usage(redis, name, key_of=user_key):
    """What is used of each limit, in the order that they are judged."""
    keys = [key_of(redis, name, suffix)
            for suffix in ("", ":used:quota", ":used:rate", ":used:hold:none")]
    return [usage_row(row) for row in understood(name, call(
        redis, "usage", keys, str(redis.quota_period)))]


def sender_usage(redis, name):
    """The same of each sender domain that is counted."""
    key, rows, start = user_key(redis, name), [], "0"
    while True:
        start, *found = understood(name, call(
            redis, "sender_usage", key, str(redis.quota_period), start))
        rows += [{"domain": domain, **usage_row(row)}
                 for domain, *limits in found for row in limits]
        if start == "0":
            return rows


def understood(name, reply):
    word, *rest = reply
    if word != "ok":
        raise Failure(EX_DATAERR, "%s: %s: not understood, so each message "
                      "is deferred; smtpusers check says more" % (
                          name, rest[0]))
    return rest


def usage_row(row):
    which, count, period, used, seconds, *_ = row
    return {"limit": which, "count": int(count), "period": period,
            "used": int(used), "reset": int(seconds)}


def usage_text(row):
    text = "%d of %d per %s" % (row["used"], row["count"], row["period"])
    if row["used"]:
        text += ", unused again in %d s" % row["reset"]
    return text


def quota_text(user, quota_period):
    if user["quota"] in (None, "", "0"):
        return "unlimited"
    return "%s per %s" % (user["quota"],
                          user["quota_period"] or period_text(quota_period))


def period_text(seconds):
    """As short as it can be written: 86400 is 1d."""
    for unit in "dhm":
        if seconds % UNITS[unit] == 0:
            return "%d%s" % (seconds // UNITS[unit], unit)
    return "%ds" % seconds
