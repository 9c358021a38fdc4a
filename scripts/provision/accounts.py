# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The commands about accounts."""

from .failure import EX_CANTCREAT, EX_USAGE, Failure, note
from .functions import call, call_json, call_many, fcall, judged
from .records import (
    NAME, account_key, account_names, batches, fold, get_hash, no_account,
    user_key, user_names)
from .connection import ReplyError
from .text import (
    columns, confirm, encode, list_rows, print_json, printable, shorten,
    visible)

SETTABLE_ACCOUNT = ("plan", "status")
LISTED_ACCOUNT = ("status", "plan")

# From the best to the worst.
STATUSES = ("allowed", "sandboxed", "blocked")
# What the relay reads of a field, in bytes.
FIELD_MAX = 1024


def do_account_add(args):
    redis = args.connect()
    key = account_key(redis, args.name)
    if redis.one("EXISTS", key):
        raise Failure(EX_CANTCREAT, "%s: exists already" % args.name)
    fields = {"status": "allowed", "plan": args.plan}
    call(redis, "account_add", key, *judged(redis, fields, args.domain))


def do_account_set(args):
    if args.field not in SETTABLE_ACCOUNT:
        raise Failure(EX_USAGE, "%s: none of %s" % (
            visible(args.field), ", ".join(SETTABLE_ACCOUNT)))
    if not args.value:
        raise Failure(EX_USAGE, "%s needs a value" % args.field)
    redis = args.connect()
    call(redis, "account_set", account_key(redis, args.name), args.field,
         args.value)


def do_account_show(args):
    redis = args.connect()
    account = call_json(redis, "account_get", account_key(redis, args.name))
    if args.json:
        print_json(account)
        return
    for line in columns(list(account_rows(account))):
        print(line)


def account_rows(account):
    yield "name", account["name"]
    yield "plan", visible(account["plan"] or "-")
    yield "status", visible(account["status"] or "allowed")
    yield from list_rows("domains", shorten(account["domains"]) or ["-"])
    for field, value in sorted(account["other"].items()):
        yield visible(field), visible(value)
    yield from list_rows("problems", account["problems"], printable)


def do_account_list(args):
    redis = args.connect()
    names = account_names(redis)
    if args.names:
        for name in names:
            print(name)
        return
    accounts = list(list_accounts(redis, names))
    if args.json:
        print_json(accounts)
        return
    rows = [("NAME", "STATUS", "PLAN", "DOMAINS")]
    rows += map(account_row, accounts)
    for line in columns(rows):
        print(line)


def list_accounts(redis, names):
    for batch in batches(names):
        commands = [("HMGET", account_key(redis, name), *LISTED_ACCOUNT)
                    for name in batch]
        commands += [("SCARD", account_key(redis, name, ":domains"))
                     for name in batch]
        replies = redis.many(commands)
        yield from map(listed_account, batch, replies, replies[len(batch):])


def listed_account(name, values, count):
    error = None
    for reply in (values, count):
        if isinstance(reply, ReplyError):
            error = unreadable(reply)
    if isinstance(values, ReplyError):
        values = [None] * len(LISTED_ACCOUNT)
    return {"name": name, **dict(zip(LISTED_ACCOUNT, values)),
            "domain_count": None if isinstance(count, ReplyError) else count,
            "error": error}


def unreadable(reply):
    """What a list says in place of a record of the wrong type."""
    if reply.kind != "WRONGTYPE":
        raise reply
    return "wrong type of key"


def account_row(account):
    if account["error"]:
        return account["name"], "(%s)" % account["error"], "", ""
    return (account["name"], visible(account["status"] or "allowed"),
            visible(account["plan"] or "-"), str(account["domain_count"]))


def do_account_rm(args):
    redis = args.connect()
    key = account_key(redis, args.name)
    fields = get_hash(redis, key)
    if not fields:
        raise no_account(args.name)
    if not args.yes:
        count = sum(map(len, users_of(redis, args.name)))
        confirm(args, "Remove the account %s with its domains?  %s." % (
            args.name, who_has(count, status_of(fields))))
    hand_down(redis, args.name)
    call(redis, "account_del", key)


def who_has(count, status):
    words = "1 user has it" if count == 1 else "%s users have it" % (
        count or "No")
    if count and status != "allowed":
        words += ", and will be %s like it" % status
    return words


def status_of(fields):
    """What an account means for its users, who are refused if the relay
    cannot read it."""
    status = fields.get("status") or "allowed"
    plan = fields.get("plan") or ""
    if status not in STATUSES or "\0" in plan or (
            len(encode(plan)) > FIELD_MAX):
        return "blocked"
    return status


def hand_down(redis, account):
    """An account that is gone keeps nobody from sending: its users get its
    status before, so that a cut anywhere allows none of them.  They are done
    again if the account has got worse meanwhile."""
    done = "allowed"
    while True:
        status = status_of(get_hash(redis, account_key(redis, account)))
        if STATUSES.index(status) <= STATUSES.index(done):
            return
        count = sum(worsen(redis, users, status)
                    for users in users_of(redis, account))
        if count:
            note("%d user%s of %s set to %s, like the account" % (
                count, "" if count == 1 else "s", account, status))
        done = status


def worsen(redis, users, status):
    """Gives the status to those who have a better one; how many.  A user
    whose status is none is refused as it is."""
    better = STATUSES[:STATUSES.index(status)]
    commands = [fcall("user_set", [user_key(redis, name)], "status", status)
                for name, own in users if (own or "allowed") in better]
    return sum(map(changed, call_many(redis, commands) if commands else ()))


def changed(reply):
    """A user may have gone meanwhile."""
    if not isinstance(reply, ReplyError):
        return reply == "changed"
    if reply.kind != "NOUSER":
        raise reply
    return False


def users_of(redis, account):
    """Names and statuses of the users whom the relay takes for the
    account's, in lists that are not long: what is read is soon used."""
    for batch in batches(user_names(redis)):
        replies = redis.many([("HMGET", user_key(redis, name), "account",
                               "status") for name in batch])
        yield [(name, reply[1]) for name, reply in zip(batch, replies)
               if is_users(reply) and fold(reply[0] or "") == account]


def is_users(reply):
    """Whether there are fields to look at."""
    return not isinstance(reply, ReplyError) or not unreadable(reply)


def account_problems(redis, text):
    """What is wrong with the account of a user, beyond the text."""
    account = fold(text or "")
    if not NAME.fullmatch(account) or redis.one(
            "EXISTS", account_key(redis, account)):
        return []
    return ["account: %s: no such account" % account]


def warn_of_account(redis, account):
    if not redis.one("EXISTS", account_key(redis, account)):
        note("account %s does not exist yet" % visible(account))
