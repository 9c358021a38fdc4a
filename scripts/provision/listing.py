# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The list of users, and what is left of it by the filters."""

import calendar
import fnmatch
import time

from .accounts import unreadable
from .functions import canonical
from .records import batches, fold, user_key, user_names
from .connection import ReplyError
from .text import columns, print_json, visible
from .users import DEFAULTS

LISTED = ("status", "mode", "account", "ip_auth", "created")
LAST = ("login", "message")
TIME = "%Y-%m-%dT%H:%M:%SZ"
DAY = 86400


def do_list(args):
    redis = args.connect()
    names = user_names(redis)
    if args.match is not None:
        names = fnmatch.filter(names, fold(args.match))
    if args.names and not filters(args):
        show_names(names)
        return
    users = list(chosen_users(redis, names, args))
    if args.names:
        show_names(user["name"] for user in users)
    elif args.json:
        print_json(users)
    else:
        show_users(users)


def show_names(names):
    for name in names:
        print(name)


def show_users(users):
    rows = [("NAME", "STATUS", "MODE", "ACCOUNT", "IP AUTH", "SOURCES")]
    rows += map(list_row, users)
    for line in columns(rows):
        print(line)


def list_row(user):
    if user["error"]:
        return user["name"], "(%s)" % visible(user["error"]), "", "", "", ""
    count = user["ip_count"]
    return (user["name"],
            *(visible(user[field] or DEFAULTS.get(field, "-"))
              for field in ("status", "mode", "account", "ip_auth")),
            "any" if count == 0 else str(count))


# Each filter is given a user as it is listed.

def filters(args):
    chosen = []
    if args.status is not None:
        chosen.append(lambda user: has(user, "status", args.status))
    if args.mode is not None:
        chosen.append(lambda user: has(user, "mode", args.mode))
    if args.account is not None:
        account = fold(args.account)
        # The relay folds it too.
        chosen.append(lambda user: bool(user["account"]) and
                      fold(user["account"]) == account)
    if args.ip_auth:
        chosen.append(lambda user: bool(user["ip_auth"]))
    if args.unused is not None:
        since = time.time() - args.unused * DAY
        chosen.append(lambda user: last_used(user) <= since)
    if args.domain is not None:
        chosen.append(lambda user: user["has_domain"])
    return chosen


def has(user, field, value):
    return (user[field] or DEFAULTS[field]) == value


def last_used(user):
    """Seconds; the creation of a user who was never there counts too."""
    used = [seconds_of(user[field]) for field in ("last_login",
                                                  "last_message")]
    return max(filter(None, used), default=seconds_of(user["created"]) or 0)


def seconds_of(text):
    """None where it is no time."""
    try:
        moment = time.strptime(text or "", TIME)
    except ValueError:
        return None
    return calendar.timegm(moment)


def chosen_users(redis, names, args):
    """A record that cannot be read has nothing that could be asked for."""
    wanted = filters(args)
    domain = args.domain and canonical(redis, "domain", args.domain)[0]
    for user in list_users(redis, names, domain):
        if wanted and user["error"] or not all(
                fits(user) for fits in wanted):
            continue
        user.pop("has_domain")
        yield user


def list_users(redis, names, domain):
    for batch in batches(names):
        commands = [questions(redis, name, domain) for name in batch]
        replies = iter(redis.many([words for asked in commands
                                   for words in asked]))
        for name, asked in zip(batch, commands):
            yield listed_user(name, [next(replies) for _ in asked])


def questions(redis, name, domain):
    key = user_key(redis, name)
    words = [("HMGET", key, *LISTED), ("HMGET", key + ":last", *LAST),
             ("SCARD", key + ":ips")]
    if domain:
        words.append(("SISMEMBER", key + ":domains", domain))
    return words


def listed_user(name, replies):
    errors = [unreadable(reply) for reply in replies
              if isinstance(reply, ReplyError)]
    values, last, count, *has_domain = [
        None if isinstance(reply, ReplyError) else reply for reply in replies]
    login, message = last or (None, None)
    return {"name": name,
            **dict(zip(LISTED, values or [None] * len(LISTED))),
            "last_login": login, "last_message": message,
            "ip_count": count, "has_domain": has_domain == [1],
            "error": errors[0] if errors else None}
