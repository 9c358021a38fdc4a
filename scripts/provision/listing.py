# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Lists of users and accounts, and what is left of them by the filters."""

import json
import re
import time
from calendar import monthrange

from .alabels import alabels
from .connection import ReplyError, glob_escape
from .failure import EX_USAGE, Failure, note
from .functions import canonical, schema_of
from .names import NAME, fold
from .pages import keys, read_rows, rows_of
from .progress import make_way, watched
from .records import ABSENT
from .text import clean, time_text, visible

DAY = 86400
IS_TIME = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
                     r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)Z")

# A list up to this length is sorted, and its columns fit; of a longer one the
# beginning is soon there.
SORTED = 1000

USER = ("status", "mode", "account", "ip_auth", "created", "quota",
        "last_login", "last_message", "ip_count", "used")
STATUS, MODE, OWNER, IP_AUTH, _, QUOTA, _, _, _, USED = range(
    1, len(USER) + 1)
USER_COLUMNS = (("HMGET", "", *USER[:6], "blocked_until"),
                ("HMGET", ":last", "login", "message"),
                ("GET", ":used:quota"), ("SCARD", ":ips"))
ACCOUNT = ("status", "plan", "domain_count")
ACCOUNT_COLUMNS = (("HMGET", "", *ACCOUNT[:2]), ("SCARD", ":domains"))
UNREADABLE = "wrong type of key"
ENDING = ("blocked", "sandboxed")


def do_list(args):
    show_list(args, users(args) if wants_rows(args) else
              named(args, "user"), user_json, user_row,
              ("NAME", "STATUS", "MODE", "ACCOUNT", "IP AUTH", "SOURCES",
               "LAST USE", "USED"))


def do_account_list(args):
    show_list(args, accounts(args) if not args.names else
              named(args, "account"), account_json, account_row,
              ("NAME", "STATUS", "PLAN", "DOMAINS"))


def wants_rows(args):
    """Names alone need no functions in Redis."""
    return not args.names or args.unused is not None or any(
        (args.account, args.status, args.mode, args.domain is not None,
         args.ip_auth))


# Where they come from

def named(args, kind):
    """The names of all, or of those that match."""
    redis = args.connect()
    before = redis.key(kind, ":{")
    match = getattr(args, "match", None)
    pattern = glob_escape(before) + ("*" if match is None else
                                     glob_of(match)) + "}"
    for page in watched(kind, keys(redis, pattern)):
        for key in page:
            name = key[len(before):-1]
            if NAME.fullmatch(name):
                yield [name]
            else:
                tell_stranger(kind, key)


def tell_stranger(kind, key):
    make_way()
    note("%s: ignored, since the name in it is no %s name" % (
        visible(key), kind))


def glob_of(text):
    """As Redis has it."""
    return fold(text).replace("[!", "[^")


def users(args):
    redis = args.connect()
    columns, tests = list(USER_COLUMNS), conditions(redis, args)
    if args.domain is not None:
        columns.append(("SISMEMBER", ":domains", canonical(
            redis, "domain", alabels(args.domain))[0]))
        tests.append(lambda row: row[-1] == 1)
    match = "*" if args.match is None else glob_of(args.match)
    for page in watched("user", read_rows(redis, "user", columns, match)):
        found = [row for row in map(user_of, page)
                 if not tests or len(row) > 1 and all(
                     test(row) for test in tests)]
        count_used(redis, found)
        yield from found


def conditions(redis, args):
    """What the options ask of a row."""
    tests = []
    if args.status is not None:
        status = word_of(redis, "status", args.status)
        tests.append(lambda row: (row[STATUS] or ABSENT["status"]) == status)
    if args.mode is not None:
        mode = word_of(redis, "mode", args.mode)
        tests.append(lambda row: (row[MODE] or ABSENT["mode"]) == mode)
    if args.account is not None:
        account = canonical(redis, "account", args.account)[0]
        tests.append(lambda row: fold(row[OWNER] or "") == account)
    if args.ip_auth:
        tests.append(lambda row: row[IP_AUTH])
    if args.unused is not None:
        since = time_text(time.time() - args.unused * DAY)
        tests.append(lambda row: last_used(row) <= since)
    return tests


def word_of(redis, field, text):
    """One of those that the field of a user can be."""
    words = schema_of(redis).fields["user"][field]["words"]
    if text not in words:
        raise Failure(EX_USAGE, "%s: not one of %s" % (
            visible(text), ", ".join(words)))
    return text


def user_of(row):
    """What USER has, behind the name; the name alone where it cannot be
    read."""
    name, fields, last, counter, count, *more = row
    for reply in (fields, last, counter):
        if isinstance(reply, ReplyError):
            return [name]
    status, *fields, until = fields
    return [name, status_now(status, until), *fields, *last, number_of(count),
            counter, *more]


def status_now(status, until):
    """One that has run out is allowed; an end that cannot be read is none."""
    over = status in ENDING and is_time(until) and until <= time_text()
    return "allowed" if over else status


def number_of(count):
    """Of the members of a set, if it is one."""
    return None if isinstance(count, ReplyError) else count


def count_used(redis, found):
    """In the place of counters, the messages of this period, which the
    functions know; None where there is no quota."""
    asked = []
    for row in found:
        if len(row) > 1 and not (row[QUOTA] or "").strip("0"):
            row[USED] = None
        elif len(row) > 1 and row[USED] is None:
            row[USED] = "0"
        elif len(row) > 1:
            asked.append(row)
    period = "%ds" % redis.quota_period
    for row, reply in zip(asked, rows_of(
            redis, "user", [row[0] for row in asked], "fields", "used",
            "period", period)):
        row[USED] = reply[1] if reply else None


def accounts(args):
    for page in watched("account", read_rows(args.connect(), "account",
                                             ACCOUNT_COLUMNS)):
        for name, fields, count in page:
            yield [name] if isinstance(fields, ReplyError) else [
                name, *fields, number_of(count)]


def last_used(row):
    """As text; the creation of a user who was never there counts too."""
    _, _, _, _, _, created, _, login, message, *_ = row
    used = [text for text in (login, message) if is_time(text)]
    return max(used) if used else created if is_time(created) else ""


def is_time(text):
    found = text and IS_TIME.fullmatch(text)
    return bool(found) and int(found[3]) <= monthrange(
        int(found[1]), int(found[2]))[1]


# What becomes of them

def show_list(args, rows, as_json, as_row, titles):
    if args.names:
        show(rows, lambda row: row[0] + "\n")
    elif args.json:
        show_json(rows, as_json)
    else:
        show_rows(rows, as_row, titles)


def gathered(rows):
    """The first ones, in order if they are all, and the others."""
    rows = iter(rows)
    first = {}
    for row in rows:
        first[row[0]] = row
        if len(first) > SORTED:
            make_way(for_good=True)
            return list(first.values()), rows
    return [first[name] for name in sorted(first)], ()


def show(rows, text_of):
    first, rest = gathered(rows)
    print("".join(map(text_of, first)), end="", flush=True)
    for row in rest:
        print(text_of(row), end="")


def show_json(rows, as_json):
    """An array, of which each object is in a line."""
    between = "[\n  "

    def text_of(row):
        nonlocal between
        text = json.dumps(as_json(row))
        if "\\ud" in text:
            text = json.dumps(clean(as_json(row)))
        text, between = between + text, ",\n  "
        return text

    show(rows, text_of)
    print("[]" if between.startswith("[") else "\n]")


def show_rows(rows, as_row, titles):
    first, rest = gathered(rows)
    table = [titles, *map(as_row, first)]
    widths = [max(map(len, column)) for column in zip(*table)]
    form = "  ".join("%%-%ds" % width for width in widths)
    print("\n".join((form % row).rstrip() for row in table), flush=True)
    for row in rest:
        print((form % as_row(row)).rstrip())


def user_json(row):
    name, status, mode, account, ip_auth, created, _, login, message, count, \
        used = filled(row, USER)
    return {"name": name, "status": status, "mode": mode, "account": account,
            "ip_auth": ip_auth, "created": created, "last_login": login,
            "last_message": message, "ip_count": count,
            "used": number_or_none(used), "error": error_of(row, count)}


def user_row(row):
    name, status, mode, account, ip_auth, _, quota, login, message, count, \
        used = filled(row, USER)
    if error_of(row, count):
        return (name, "(%s)" % UNREADABLE, *[""] * 6)
    last = max(filter(is_time, (login, message)), default="-")
    return (name, visible(status or ABSENT["status"]),
            visible(mode or ABSENT["mode"]), visible(account or "-"),
            visible(ip_auth or "-"), str(count) if count else "any", last[:10],
            "-" if used is None else "%s/%s" % (used, visible(quota)))


def account_json(row):
    name, status, plan, count = filled(row, ACCOUNT)
    return {"name": name, "status": status, "plan": plan,
            "domain_count": 0 if len(row) == 1 else count,
            "error": error_of(row, count)}


def account_row(row):
    name, status, plan, count = filled(row, ACCOUNT)
    if error_of(row, count):
        return name, "(%s)" % UNREADABLE, "", ""
    return (name, visible(status or ABSENT["status"]), visible(plan or "-"),
            str(count))


def filled(row, fields):
    """A record that cannot be read has a name alone."""
    return row[:len(fields) + 1] if len(row) > 1 else (
        row + [None] * len(fields))


def error_of(row, count):
    return UNREADABLE if len(row) == 1 or count is None else None


def number_or_none(text):
    return None if text is None else int(text)
