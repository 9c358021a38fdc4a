# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What is wrong with one record, as a list of findings. What is wrong with a
value is said by the functions in Redis; what belongs together by more than
its key is compared here.

Nothing that is mended lets anybody in who was kept out: what is unclear goes,
and what the relay refuses altogether stays refused. Each repair is one step
in Redis, which looks again at what it was begun for.
"""

from .addresses import claim_of, clear_address, release
from .alabels import alabels
from .connection import ReplyError
from .failure import Failure, note
from .functions import call, canonical_or_none
from .names import NAME, fold
from .pages import rows_of
from .prefixes import KEPT, Prefixes
from .records import account_key, user_key
from .text import visible

ACCOUNTS_KEPT = 20000
MENDED = 200            # members of a call

# What is asked of each record in a page.
USER = ("problems", "warnings", "wrong", "account", "mode", "status",
        "ip_auth", "domain_count", "ip_count", "suppressed_count", "claim")
ACCOUNT = ("problems", "domain_count", "suppressed_count", "user_prefix")
SETS = {"user": ("ips", "domains"), "account": ("domains",)}
# What the relay writes, and can no more.
WRITTEN = {"log": "log: not a stream, so nothing is logged",
           "failed": "failed: not a stream, so nothing is logged",
           "last": "last: not a hash, so the last use is not kept"}
NOT_A_SET = {"ips": "ips: not a set, so the user is refused",
             "domains": "domains: not a set, so nothing can be sent"}


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
    """What one run shares; listed is how many members of a set are judged
    together with the record."""

    def __init__(self, redis, fix, limits):
        self.redis = redis
        self.fix = fix
        self.listed = limits["listed"]
        self.accounts = {}
        self.prefixes = Prefixes()      # none where some users alone are read
        # In a cluster whose an address is must be asked elsewhere.
        self.user = USER[:-1] if redis.spread else USER


# Users

def inspect_users(run, page):
    """The findings of a page of rows, which have what USER says."""
    look_up(run, {fold(row[4] or "") for row in page if len(row) > 1})
    for row in page:
        yield from inspect_user(run, row)


def inspect_user(run, row):
    name, key = row[0], user_key(run.redis, row[0])
    if len(row) == 1:
        return [Finding("type", name, key, "not a hash, so the user is "
                        "refused")]
    problems, warnings, wrong, account, mode, status, ip_auth, domains, \
        ips, suppressed, *claims = row[1:]
    if problems is None:
        problems = whole_problems(run, key)
    findings = value_findings(name, key, problems)
    findings += warning_findings(run, name, key, warnings or ())
    findings += [Finding("type", name, key + ":" + part, WRITTEN[part])
                 for part in WRITTEN if part in wrong]
    findings += inspect_sets(run, "user", name, key, problems,
                             {"domains": domains, "ips": ips})
    findings += inspect_suppressed(run, name, key, problems, suppressed)
    findings += inspect_address(run, name, key, ip_auth, claims[0] if claims
                                else claim_of(run.redis, ip_auth))
    return findings + inspect_reach(run, name, key, account, mode, status,
                                    domains != 0)


def whole_problems(run, key):
    """Of a record that is too large for a page."""
    try:
        return call(run.redis, "user_check", key)
    except ReplyError as error:
        if error.kind != "NOUSER":
            raise
        return []


def value_findings(name, key, problems):
    return [Finding(kind_of(text), name, key, text) for text in problems
            if not text.startswith(("ips: ", "domains: ", "suppressed: "))]


def warning_findings(run, name, key, warnings):
    findings = []
    for text in warnings:
        unguarded = text.startswith("restricted: ")
        findings.append(Finding("list" if unguarded else "slow", name, key,
                                text, unguarded))
        if unguarded and run.fix and guard(run, key):
            findings[-1].fixed = "set to 1"
    return findings


def guard(run, key):
    try:
        return call(run.redis, "user_set", key, "restricted", "1") == "changed"
    except ReplyError as error:
        if error.kind != "NOUSER":
            raise
        return False


def kind_of(problem):
    if any(words in problem for words in UNUSABLE):
        return "use"
    return "value"


def inspect_address(run, name, key, ip_auth, claim):
    """claim is whose the address is; None where there is no address."""
    if claim is None or claim == name:
        return []
    address = canonical_or_none(run.redis, "address", ip_auth)
    finding = Finding("claim", name, key, "ip_auth: %s: not claimed for this "
                      "user%s, so it authenticates nobody" % (
                          address, " but for " + claim if claim else ""),
                      True)
    if run.fix and clear_address(run.redis, name, address):
        finding.fixed = "cleared"
    return [finding]


def inspect_reach(run, name, key, account, mode, status, has_domains):
    """Whether the account lets the user send at all."""
    account = fold(account or "")
    left = run.prefixes.owner(name)
    if not account and left:
        return [Finding("account", name, key, "names that begin with %s are of "
                        "account %s, but this user is in none" % left)]
    if not NAME.fullmatch(account):
        return []
    row = run.accounts[account]
    if not row:
        return [Finding("account", name, key, "account: %s: no such account, so "
                        "the user is refused" % account)]
    if len(row) == 1:
        return [Finding("account", name, key, "account: %s: not a hash, so "
                        "the user is refused" % account)]
    _, plan, account_status, domains, prefix = row
    if not name.startswith(prefix or ""):
        return [Finding("account", name, key, "account %s takes only users "
                        "whose names begin with %s, so the user is refused" %
                        (account, visible(prefix)))]
    if left and not prefix:
        return [Finding("account", name, key, "names that begin with %s are of "
                        "account %s, but this user is in %s" % (
                            *left, account))]
    if account_status == "blocked" and status != "blocked":
        return [Finding("use", name, key, "account %s is blocked: can never "
                        "send" % account)]
    if mode not in ("all", "any") or has_domains or domains != 0 or (
            mode == "any" and plan == "pro"):
        return []
    return [Finding("use", name, key, "mode %s, and neither the user nor "
                    "account %s has a domain: can never send" %
                    (mode, account))]


def look_up(run, accounts):
    """What users need to know of their accounts: some are kept."""
    if len(run.accounts) >= ACCOUNTS_KEPT:
        run.accounts.clear()
    names = sorted(name for name in accounts
                   if NAME.fullmatch(name) and name not in run.accounts)
    run.accounts.update(zip(names, rows_of(
        run.redis, "account", names, "fields", "plan status domain_count "
        "user_prefix")))


# Sets

def inspect_sets(run, kind, name, key, problems, counts):
    """Those of which the functions have something to say, and those that are
    too large for them to have seen it all."""
    findings = []
    for which in SETS[kind]:
        told = [text for text in problems if text.startswith(which + ": ")]
        if which + ": not a set" in told:
            findings.append(Finding("type", name, key + ":" + which,
                                    NOT_A_SET[which]))
        elif told or (counts[which] or 0) > run.listed:
            findings += inspect_set(run, name, key, which, told)
    return findings


def inspect_set(run, name, key, which, told):
    place = key + ":" + which
    too_many = [text for text in told if "more than" in text and
                "entries" in text]
    if too_many:
        return [Finding("value", name, place, too_many[0])]
    right, odd = odd_members(run, key, which)
    findings = []
    for member, form in sorted(odd):
        findings.append((member, form, finding_of(
            name, place, which, member, form, right > 0 or any(
                better for _, better in odd))))
    if run.fix:
        mend(run, key, which, findings)
    found = [finding for _, _, finding in findings]
    if which == "ips" and odd and not right and not any(
            form for _, form in odd):
        found.append(Finding("value", name, place, "ips: no entry is valid, "
                             "so every source is refused"))
    return found


def inspect_suppressed(run, name, key, problems, count):
    """However many there are, all are looked at: what is written wrongly
    keeps no mail from anybody."""
    place = key + ":suppressed"
    findings = [Finding("type", name, place, text) for text in problems
                if text.startswith("suppressed: ")]
    _, odd = odd_members(run, key, "suppressed") if count else (0, ())
    for member, form in sorted(odd):
        findings.append(Finding(
            "form" if form else "value", name, place,
            "suppressed: %s: %s" % (visible(member), "should be written " +
                                    form if form else "not a recipient")))
    return findings


def odd_members(run, key, which):
    """How many are right, and the others with how they should be written."""
    right, odd, cursor = 0, set(), None
    while cursor != "0":
        cursor, count, *pairs = call(run.redis, "odd_members", key, which,
                                     cursor or "0")
        right += count
        odd.update((member, form or converted(which, member))
                   for member, form in zip(pairs[::2], pairs[1::2]))
    return right, odd


def converted(which, member):
    """Redis does not know other letters than those of A-labels."""
    if which == "ips" or member.isascii():
        return ""
    try:
        return alabels(member)
    except Failure:
        return ""


def finding_of(name, place, which, member, form, others):
    """Members that mean something are written rightly; others go, if they
    may: a list without entries allows any source, and of international
    domains the relay's own library knows more."""
    if form:
        return Finding("form", name, place, "%s: %s: should be written %s" %
                       (which, visible(member), form), True)
    kept = not others if which == "ips" else "xn--" in member.lower()
    return Finding("value", name, place, "%s: %s: %s" % (
        which, visible(member), WRONG[which]), not kept)


UNUSABLE = ("can never send", "nobody can log in", "nobody is let in")

WRONG = {"ips": "neither an address nor a range, such as 192.0.2.1 or "
         "2001:db8::/32", "domains": "not a domain"}


def mend(run, key, which, findings):
    some = [(member, form, finding) for member, form, finding in findings
            if finding.fixable]
    for start in range(0, len(some), MENDED):
        part = some[start:start + MENDED]
        words = [word for member, form, _ in part for word in (member, form)]
        call(run.redis, "mend", key, which, *words)
        left = run.redis.each([("SISMEMBER", key + ":" + which, member)
                               for member, _, _ in part])
        for (_, form, finding), there in zip(part, left):
            if not there:
                finding.fixed = "written " + form if form else "removed"


# Accounts

def inspect_account(run, row):
    name, key = row[0], account_key(run.redis, row[0])
    if len(row) == 1:
        return [Finding("type", name, key, "not a hash, so its users are "
                        "refused")]
    problems, count, suppressed, prefix = row[1:]
    run.prefixes.add(name, prefix)
    return value_findings(name, key, problems or ()) + inspect_sets(
        run, "account", name, key, problems or (), {"domains": count}
    ) + inspect_suppressed(run, name, key, problems or (), suppressed)


def inspect_prefixes(run):
    """When all accounts have been looked at."""
    if run.prefixes.more:
        note("user_prefix: only that of %d accounts is compared" % KEPT)
    for name, problem in run.prefixes.problems():
        yield Finding("account", name, account_key(run.redis, name), problem)


# Addresses that are claimed

def inspect_claim(run, text, key):
    """Those that are claimed for what does not want them are looked at again
    later: the claim may come first."""
    try:
        value = run.redis.one("GET", key)
    except ReplyError as error:
        return [claim_error(error, text, key)]
    if value is None:
        return []
    problem = wrong_address(run, text)
    if problem:
        return forgotten(run, Finding("name", text, key, problem + ", so this "
                                      "authenticates nobody", True), value)
    owner = fold(value)
    if not NAME.fullmatch(owner):
        return forgotten(run, Finding(
            "claim", text, key, "claimed for %s, which is no user name" %
            visible(value), True), value)
    return inspect_owner(run, text, key, owner)


def wrong_address(run, text):
    try:
        address = call(run.redis, "canonical", [], "address", text)[0]
    except ReplyError as error:
        if error.kind != "INVALID":
            raise
        return str(error)
    return None if address == text else "the relay looks for " + address


def forgotten(run, finding, value):
    if run.fix and call(run.redis, "ip_forget", finding.key, value):
        finding.fixed = "removed"
    return [finding]


def claim_error(error, text, key):
    if error.kind == "WRONGTYPE":
        return Finding("type", text, key, "not a string, so it authenticates "
                       "nobody and nobody can claim it")
    raise error


def inspect_owner(run, address, key, owner):
    record = user_key(run.redis, owner)
    there, held = run.redis.many([("EXISTS", record),
                                  ("HGET", record, "ip_auth")])
    if isinstance(held, ReplyError):
        problem = "claimed for %s, whose record is not a hash" % owner
        return [Finding("claim", address, key, problem)]
    if held and held != address:
        held = canonical_or_none(run.redis, "address", held)
    if held == address:
        return []
    if not there:
        problem = "claimed for %s, who does not exist" % owner
    elif held:
        problem = "claimed for %s, who has %s" % (owner, held)
    else:
        problem = "claimed for %s, who does not have it" % owner
    return [Finding("claim", address, key, problem, True)]


def release_claim(run, finding):
    """Looks again, and lets go of what is still nobody's."""
    try:
        owner = fold(run.redis.one("GET", finding.key) or "")
    except ReplyError:
        return []
    if not owner:
        return []
    again = inspect_owner(run, finding.name, finding.key, owner)
    for finding in again:
        if finding.fixable and release(run.redis, owner, finding.name):
            finding.fixed = "released"
    return again


# What belongs to users and accounts that are not there

def orphan(run, kind, name, key):
    """The domains of an account count without the account."""
    owner, _, suffix = key.rpartition(":")
    finding = Finding("orphan", name, key, "%s: left over: no %s %s" % (
        suffix, kind, name), kind == "user")
    if run.fix and finding.fixable:
        if not call(run.redis, "bury", owner, suffix):
            return []
        finding.fixed = "removed"
    return [finding]


def strange(key, name=None):
    """A key that the relay never looks for."""
    what = "not a name" if name is not None else "not a key of the relay's"
    return [Finding("name", key if name is None else name, key,
                    what + ", so it is nobody's")]
