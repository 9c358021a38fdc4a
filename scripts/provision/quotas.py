# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Quotas and rates, as the functions in Redis count them."""

from .failure import EX_DATAERR, Failure
from .functions import call
from .records import get_fields, user_key
from .text import print_json

UNITS = {"m": 60, "h": 3600, "d": 86400}


def do_quota(args):
    redis = args.connect()
    get_fields(redis, args.name)
    if args.reset:
        reset_usage(redis, args.name)
    usage = get_usage(redis, args.name)
    if args.json:
        print_json(usage)
        return
    for row in usage:
        print("%-5s  %s" % (row["limit"], usage_text(row)))
    if not usage:
        print("unlimited")


def reset_usage(redis, name):
    call(redis, "user_reset", user_key(redis, name))


def get_usage(redis, name):
    """What is used of each limit, in the order that they are judged."""
    word, *rest = call(redis, "usage", quota_keys(redis, name),
                       str(redis.quota_period))
    if word != "ok":
        raise Failure(EX_DATAERR, "%s: %s: not understood, so every message "
                      "is refused" % (name, rest[0]))
    return [{"limit": which, "count": int(count), "period": period,
             "used": int(used), "reset": int(seconds)}
            for which, count, period, used, seconds, *_ in rest]


def quota_keys(redis, name):
    return [user_key(redis, name, suffix)
            for suffix in ("", ":used:quota", ":used:rate", ":used:hold:none")]


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
