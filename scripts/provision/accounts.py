# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The commands about accounts."""

import difflib

from .events import set_status
from .failure import EX_CANTCREAT, EX_USAGE, Failure, note
from .connection import ReplyError
from .functions import (
    call, call_json, call_many, fcall, judged, schema_of, warned)
from .names import NAME, fold
from .pages import members, read_rows
from .progress import watched
from .quotas import usage_text
from .records import ABSENT, STATUSES, account_key, user_key
from .text import (
    columns, confirm, encode, list_rows, print_json, printable, shorten,
    visible)

# What the relay reads of a field, in bytes.
FIELD_MAX = 1024


def do_account_add(args):
    redis = args.connect()
    key = account_key(redis, args.name)
    if redis.one("EXISTS", key):
        raise Failure(EX_CANTCREAT, "%s: exists already" % args.name)
    fields = {"status": "allowed"}
    if args.plan is not None:
        fields["plan"] = args.plan
    call(redis, "account_add", key,
         *judged(redis, "account", fields, args.domain))


def do_account_set(args):
    set_field(args.connect(), "account", args)


# What has a command of its own.
OTHERS = {"password": "passwd %s", "ips": "source add %s",
          "source": "source add %s", "sources": "source add %s",
          "domain": "domain add %s", "domains": "domain add %s",
          "ip_auth": "ipauth set %s", "ipauth": "ipauth set %s",
          "name": "rename %s", "suppressed": "suppress add %s",
          "blocked_at": "block %s"}
OTHERS_OF_ACCOUNTS = {name: "account " + OTHERS[name]
                      for name in ("domain", "domains")}


def unsettable(kind, field, name, settable):
    """What to type in place of a field that cannot be set."""
    others = OTHERS if kind == "user" else OTHERS_OF_ACCOUNTS
    if field in others:
        return "%s: is changed by smtpusers %s" % (field, others[field] % name)
    near = difflib.get_close_matches(field, settable, 1)
    return "%s: no field that can be set: %s" % (
        visible(field), "is %s meant?" % near[0] if near else
        ", ".join(settable))


def set_field(redis, kind, args):
    """No value takes a field away, unless there is a word for none."""
    field, value = args.field.replace("-", "_"), args.value
    # A variable of a script that is not set must not lift a limit.
    if value == "":
        raise Failure(EX_USAGE, "%s: the value is empty; leave it out to "
                      "take the field away" % visible(field))
    schema = schema_of(redis)
    if field not in schema.settable(kind):
        raise Failure(EX_USAGE, unsettable(
            kind, field, args.name, schema.settable(kind)))
    if value is None and schema.fields[kind][field]["absent"] is not None:
        raise Failure(EX_USAGE, "%s needs a value" % field)
    if field == "status":
        set_status(redis, kind, args.name, value, "command")
        return
    warned(call(redis, kind + "_set", redis.key(kind, ":{", args.name, "}"),
                field, value or ""))


def do_account_show(args):
    redis = args.connect()
    key = account_key(redis, args.name)
    account = call_json(redis, "account_get", key, str(redis.quota_period))
    complete(redis, account, key, "domains", "domain_count")
    if args.json:
        print_json(account)
        return
    for line in columns(list(account_rows(account))):
        print(line)


def complete(redis, record, key, name, count):
    """The functions tell of a very long set the beginning."""
    if len(record[name]) < record[count]:
        found = {member for page in members(redis, key + ":" + name)
                 for member in page}
        record[name] = sorted(found)


SHOWN = ("plan", "status", "user_prefix")   # also where there is none


def account_rows(account):
    for field, value in account.items():
        if field == "domains":
            break
        if value is not None or field in SHOWN:
            yield field.replace("_", " "), visible(
                value or ABSENT.get(field, "-"))
    yield from list_rows("used", map(usage_text, account["usage"] or []))
    yield from list_rows("domains", shorten(account["domains"]) or ["-"])
    if account["suppressed_count"]:
        yield "suppressed", str(account["suppressed_count"])
    for field, value in sorted(account["other"].items()):
        yield visible(field), visible(value)
    yield from list_rows("problems", account["problems"], printable)


def do_account_rm(args):
    redis = args.connect()
    key = account_key(redis, args.name)
    status = status_of(redis, args.name)
    if not args.yes:
        count = sum(map(len, users_of(redis, args.name)))
        confirm(args, "Remove the account %s with its domains?  %s." % (
            args.name, who_has(count, status)))
    hand_down(redis, args.name)
    call(redis, "account_del", key)


def who_has(count, status):
    words = "1 user has it" if count == 1 else "%s users have it" % (
        count or "No")
    if count:
        words += ", and will be refused without it" if status == "allowed" \
            else ", and will be %s like it" % status
    return words


def status_of(redis, name):
    """What an account means for its users, who are refused if the relay
    cannot read it."""
    account = call_json(redis, "account_get", account_key(redis, name))
    bad = {problem.partition(":")[0] for problem in account["problems"]}
    # Any word will do as a plan.
    judged_alike = set(schema_of(redis).fields["account"]) - {"plan"}
    plan = account["plan"] or ""
    if bad & judged_alike or "\0" in plan or len(encode(plan)) > FIELD_MAX:
        return "blocked"
    return account["status"] or "allowed"


def hand_down(redis, account):
    """The next account of the name must not free the users of this one: they
    get its status before.  They are done again if the account has got worse
    meanwhile."""
    done = "allowed"
    while True:
        try:
            status = status_of(redis, account)
        except ReplyError as error:
            if error.kind != "NOACCOUNT":
                raise
            return
        if STATUSES.index(status) <= STATUSES.index(done):
            return
        count = sum(worsen(redis, users, status)
                    for users in users_of(redis, account))
        if count:
            note("%d user%s of %s set to %s, like the account" % (
                count, "" if count == 1 else "s", account, status))
        done = status


def worsen(redis, users, status):
    """Gives the status to those who have a better one, and keeps those at
    theirs who would have a better one some day; how many.  A user whose
    status is none is refused as it is."""
    worst = {name: max(own or "allowed", status, key=STATUSES.index)
             for name, own, _ in users if (own or "allowed") in STATUSES}
    commands = [fcall("user_set", [user_key(redis, name)], "status",
                      worst[name])
                for name, own, ends in users
                if name in worst and (ends or worst[name] != own)]
    return sum(map(changed, call_many(redis, commands) if commands else ()))


def changed(reply):
    """A user may have gone meanwhile."""
    if not isinstance(reply, ReplyError):
        return reply == "changed"
    if reply.kind != "NOUSER":
        raise reply
    return False


def users_of(redis, account):
    """Names, statuses and when these end of the users whom the relay takes
    for the account's, in lists that are not long: what is read is soon used."""
    for page in watched("user", read_rows(redis, "user", [
            ("HMGET", "", "status", "account", "blocked_until")])):
        yield [(name, held[0], held[2]) for name, held in page
               if isinstance(held, list) and fold(held[1] or "") == account]


def account_problems(redis, text):
    """What is wrong with the account of a user, beyond the text."""
    account = fold(text or "")
    if not NAME.fullmatch(account) or redis.one(
            "EXISTS", account_key(redis, account)):
        return []
    return ["account: %s: no such account, so the user is refused" % account]


def warn_of_account(redis, account):
    if not redis.one("EXISTS", account_key(redis, account)):
        note("account %s does not exist yet: until it does, its users are "
             "refused" % visible(account))
