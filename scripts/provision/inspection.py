# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What is wrong with one record, as a conversation whose result is a list of
findings. What belongs together by more than its key is compared here; what is
wrong with a value is said by the functions in Redis."""

from . import repairs
from .conversations import ALONE
from .exporting import READ, SMALL, parts, read_pages
from .importing import (
    call, canonical_or_none, is_claimed, judgement, only)
from .interchange import Bad
from .records import NAME, account_key, fold, user_key
from .connection import ReplyError
from .text import visible

JUDGED = 1000           # members that are judged at a time
RANGES_MAX = 65536
ACCOUNTS_KEPT = 10000
KINDS = {"ips": "range", "domains": "domain"}


class Finding:
    """Something that is wrong, and what became of it."""

    def __init__(self, kind, name, key, problem, fixable=False):
        self.kind = kind
        self.name = name
        self.key = key
        self.problem = problem
        self.fixable = fixable
        self.fixed = None

    def as_json(self):
        return {"kind": self.kind, "name": self.name, "key": self.key,
                "problem": self.problem, "fixable": self.fixable,
                "fixed": self.fixed}


class Inspection:
    """What the conversations of one run share."""

    def __init__(self, redis, fix):
        self.redis = redis
        self.fix = fix
        self.accounts = {}


def read(*keys):
    return ("EVAL", READ, str(len(keys)), *keys, str(SMALL))


# Users

def inspect_user(run, name, key):
    problems, found = yield [*call("user_check", key),
                             read(key, key + ":domains", key + ":ips",
                                  key + ":log", key + ":last")]
    if isinstance(found, ReplyError):
        raise found
    if isinstance(problems, ReplyError):
        return user_error(problems, name, key)
    (_, flat), domains, ips, (log, _), (last, _) = parts(found)
    fields = dict(zip(flat[::2], flat[1::2]))
    findings = [Finding(kind_of(text), name, key, text) for text in problems
                if not text.startswith(("ips: ", "domains: "))]
    if log not in ("none", "stream"):
        findings.append(Finding("type", name, key + ":log", "log: not a "
                                "stream, so nothing is logged"))
    if last not in ("none", "hash"):
        findings.append(Finding("type", name, key + ":last", "last: not a "
                                "hash, so the last use is not kept"))
    told = {text.partition(": ")[0] for text in problems}
    if "ips" in told or not is_plain(*ips):
        findings += yield from inspect_ips(run, name, key + ":ips", *ips)
    if "domains" in told:
        findings += yield from inspect_domains(run, name, key + ":domains",
                                               *domains)
    findings += yield from inspect_address(run, name, key, fields)
    findings += yield from inspect_reach(run, name, key, fields,
                                         domains[0] != "none")
    return findings


def is_plain(form, members):
    """Most lists are short, and have IPv4 addresses alone, which are written
    in one way."""
    return form == "none" or form == "set" and not any(
        ":" in member or "/" in member for member in members)


def user_error(error, name, key):
    if error.kind == "WRONGTYPE":
        return [Finding("type", name, key, "not a hash, so the user is "
                        "refused")]
    if error.kind == "NOUSER":
        return []
    raise error


def kind_of(problem):
    if "can never send" in problem or "nobody can log in" in problem:
        return "use"
    return "value"


def inspect_address(run, name, key, fields):
    """What is claimed first and written then is never seen half done here."""
    address = yield from canonical_or_none(fields.get("ip_auth"))
    if address is None:
        return []
    if (yield from is_claimed(run.redis, name, address)):
        return []
    finding = Finding("claim", name, key, "ip_auth: %s: not claimed for this "
                      "user, so it authenticates nobody" % address, True)
    if run.fix and (yield from repairs.clear_address(key, address)):
        finding.fixed = "cleared"
    return [finding]


def inspect_reach(run, name, key, fields, has_domains):
    """Whether the account lets the user send at all."""
    account = fold(fields.get("account") or "")
    if not NAME.fullmatch(account):
        return []
    form, plan, status, account_domains = yield from look_up(run, account)
    if form == "none":
        return [Finding("account", name, key, "account: %s: no such account" %
                        account)]
    if form != "hash":
        return [Finding("account", name, key, "account: %s: not a hash, so "
                        "the user is refused" % account)]
    if status == "blocked" and fields.get("status") != "blocked":
        return [Finding("use", name, key, "account %s is blocked: can never "
                        "send" % account)]
    mode = fields.get("mode")
    if mode not in ("all", "any") or has_domains or account_domains or (
            mode == "any" and plan == "pro"):
        return []
    return [Finding("use", name, key, "mode %s, and neither the user nor "
                    "account %s has a domain: can never send" %
                    (mode, account))]


def look_up(run, account):
    """Type, plan and status of an account, and whether it has domains."""
    known = run.accounts.get(account)
    if known is not None:
        return known
    key = account_key(run.redis, account)
    kind, fields, domains = yield [("TYPE", key),
                                   ("HMGET", key, "plan", "status"),
                                   ("EXISTS", key + ":domains")]
    plan, status = [None] * 2 if isinstance(fields, ReplyError) else fields
    if len(run.accounts) >= ACCOUNTS_KEPT:
        run.accounts.clear()
    run.accounts[account] = only([kind]), plan, status, only([domains])
    return run.accounts[account]


# The members of sets

def inspect_ips(run, name, key, form, members):
    if form not in ("none", "set", "large"):
        return [Finding("type", name, key, "ips: not a set, so the user is "
                        "refused")]
    judged = yield from judge_set(key, "ips", form, members)
    if len(judged) > RANGES_MAX:
        return [Finding("value", name, key, "ips: more than %d entries, so "
                        "the user is refused" % RANGES_MAX)]
    valid = [right for _, right, _ in judged if right]
    wrong = yield from inspect_members(
        run, name, key, "ips", judged, bool(valid),
        lambda bad: repairs.remove_ranges(key, bad, valid[0]))
    if judged and not valid:
        wrong.append(Finding("value", name, key, "ips: no entry is valid, so "
                             "every source is refused"))
    return wrong


def inspect_domains(run, name, key, form, members):
    if form not in ("none", "set", "large"):
        return [Finding("type", name, key, "domains: not a set, so nothing "
                        "can be sent")]
    judged = yield from judge_set(key, "domains", form, members)
    return (yield from inspect_members(
        run, name, key, "domains", judged, True,
        lambda bad: repairs.remove_domains(key, bad)))


def judge_set(key, suffix, form, members):
    """Triples: a member, how it is written rightly, or None and what is wrong
    with it."""
    if form == "large":
        yield ALONE
        try:
            members = yield from read_pages(key, suffix)
        except Bad:
            members = ()
    judged, members = [], sorted(members)
    for start in range(0, len(members), JUDGED):
        judged += yield from judge_some(members[start:start + JUDGED],
                                        KINDS[suffix])
    return judged


def judge_some(members, kind):
    """All at once; one by one where there is a bad one among them."""
    words = [word for member in members for word in (kind, member)]
    reply = (yield [judgement(words)])[0]
    if not isinstance(reply, ReplyError):
        return [(member, right, None)
                for member, right in zip(members, reply)]
    replies = yield [judgement([kind, member]) for member in members]
    return [judged_one(member, reply)
            for member, reply in zip(members, replies)]


def judged_one(member, reply):
    if not isinstance(reply, ReplyError):
        return member, reply[0], None
    if reply.kind != "INVALID":
        raise reply
    return member, None, str(reply)


def inspect_members(run, name, key, suffix, judged, removable, remove):
    """Members that mean something are written rightly; others go, if they
    may."""
    findings, rewritten, removed = [], [], []
    for member, right, problem in judged:
        if right == member:
            continue
        if right:
            text, kept = "should be written %s" % right, False
            problem = "%s: %s" % (visible(member), text)
        else:
            kept = not removable or is_doubtful(suffix, member)
        finding = Finding("form" if right else "value", name, key,
                          "%s: %s" % (suffix, problem), not kept)
        findings.append(finding)
        if finding.fixable:
            (rewritten if right else removed).append((finding, member, right))
    if run.fix:
        yield from mend_members(key, rewritten, removed, remove)
    return findings


def is_doubtful(suffix, member):
    """Of international domains the relay's own library knows more."""
    return suffix == "domains" and "xn--" in member.lower()


def mend_members(key, rewritten, removed, remove):
    if rewritten:
        yield from repairs.rewrite(key, [(member, right) for
                                         _, member, right in rewritten])
        for finding, _, right in rewritten:
            finding.fixed = "written " + right
    if removed:
        done = yield from remove([member for _, member, _ in removed])
        for finding, _, _ in removed:
            finding.fixed = None if done is False else "removed"


# Accounts

def inspect_account(run, name, key):
    found = (yield [read(key, key + ":domains")])[0]
    if isinstance(found, ReplyError):
        raise found
    (form, flat), domains = parts(found)
    if form == "none":
        return []
    if form != "hash":
        return [Finding("type", name, key, "not a hash, so its users are "
                        "refused")]
    fields = dict(zip(flat[::2], flat[1::2]))
    given = [field for field in ("plan", "status") if fields.get(field)]
    replies = yield [judgement([field, fields[field]]) for field in given]
    findings = [Finding("value", name, key, "%s: %s" % (field, str(reply)))
                for field, reply in zip(given, replies)
                if isinstance(reply, ReplyError)]
    return findings + (yield from inspect_domains(
        run, name, key + ":domains", *domains))


# Addresses that are claimed

def inspect_claim(run, text, key):
    """Those that are claimed for what does not want them are looked at again
    later: the claim comes first."""
    value, canonical = yield [("GET", key), judgement(["address", text])]
    if isinstance(value, ReplyError):
        return [claim_error(value, text, key)]
    if value is None:
        return []
    address = None if isinstance(canonical, ReplyError) else canonical[0]
    if address != text:
        problem = str(canonical) if address is None else (
            "the relay looks for %s" % address)
        finding = Finding("name", text, key, problem + ", so this "
                          "authenticates nobody", True)
        if run.fix and (yield from repairs.forget(key, value)):
            finding.fixed = "removed"
        return [finding]
    owner = fold(value)
    if not NAME.fullmatch(owner):
        finding = Finding("claim", text, key, "claimed for %s, which is no "
                          "user name" % visible(value), True)
        if run.fix and (yield from repairs.forget(key, value)):
            finding.fixed = "removed"
        return [finding]
    return (yield from inspect_owner(run, text, key, owner))


def claim_error(error, text, key):
    if error.kind == "WRONGTYPE":
        return Finding("type", text, key, "not a string, so it authenticates "
                       "nobody and nobody can claim it")
    raise error


def inspect_owner(run, address, key, owner):
    record = user_key(run.redis, owner)
    there, reply = yield [("EXISTS", record), ("HGET", record, "ip_auth")]
    if isinstance(reply, ReplyError):
        problem = "claimed for %s, whose record is not a hash" % owner
        return [Finding("claim", address, key, problem)]
    held = reply
    if held and held != address:
        held = yield from canonical_or_none(held)
    if held == address:
        return []
    if not only([there]):
        problem = "claimed for %s, who does not exist" % owner
    elif held:
        problem = "claimed for %s, who has %s" % (owner, held)
    else:
        problem = "claimed for %s, who does not have it" % owner
    return [Finding("claim", address, key, problem, True)]


def release_claim(run, finding):
    """Looks again, and lets go of what is still nobody's."""
    owner = (yield [("GET", finding.key)])[0]
    if isinstance(owner, ReplyError) or owner is None:
        return []
    owner = fold(owner)
    again = yield from inspect_owner(run, finding.name, finding.key, owner)
    for finding in again:
        if finding.fixable and (yield from repairs.release(
                run.redis, owner, finding.name)):
            finding.fixed = "released"
    return again


# What belongs to users and accounts that are not there

def inspect_companions(run, companions):
    """Of many keys at once, for nearly all are in order."""
    if not companions:
        return []
    owners = sorted({owner for _, _, owner, _ in companions})
    reply = (yield [("EXISTS", *owners)])[0]
    if not isinstance(reply, ReplyError) and reply == len(owners):
        return []
    replies = yield [("EXISTS", owner) for owner in owners]
    there = {owner for owner, reply in zip(owners, replies) if only([reply])}
    findings = []
    for kind, name, owner, key in companions:
        if owner not in there:
            findings += yield from orphan(run, kind, name, owner, key)
    return findings


def orphan(run, kind, name, owner, key):
    """The domains of an account count without the account."""
    finding = Finding("orphan", name, key, "%s: left over: no %s %s" % (
        key.rpartition(":")[2], kind, name), kind == "user")
    if run.fix and finding.fixable:
        if not (yield from repairs.bury(owner, key)):
            return []
        finding.fixed = "removed"
    return [finding]
