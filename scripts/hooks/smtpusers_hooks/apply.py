# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Applies events with smtpusers(8), each at least once, in order.

Which account a domain belongs to is the panel's to say, and the panel has each
domain once: nothing is compared across accounts here.
"""

import contextlib
import errno
import json
import os
import pwd
import subprocess

from .events import BadEvent, accounts_of, check_event, describe
from .text import (decode, domain_key, encode, fold, looks_like_domain,
                   visible)

EX_OK = 0
EX_USAGE = 64
EX_DATAERR = 65
EX_NOUSER = 67
EX_UNAVAILABLE = 69
EX_CANTCREAT = 73
EX_TEMPFAIL = 75
EX_NOPERM = 77
EX_CONFIG = 78

# What the shell says of a program that it cannot run.
CANNOT_RUN = (126, 127)
BAD = (EX_USAGE, EX_DATAERR)
AWAY = (EX_UNAVAILABLE, EX_TEMPFAIL, EX_NOPERM, EX_CONFIG, *CANNOT_RUN)
ANSWERS = (EX_OK, EX_NOUSER, EX_CANTCREAT)

# What this host lacks for now; whatever else keeps the command from being run
# is in its words.
LACKING = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOMEM,
           errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EIO,
           errno.ENOEXEC, errno.ETXTBSY, errno.ENOTDIR, errno.ELOOP,
           errno.ESTALE, errno.ENODEV, errno.EINTR)

STATUSES = ("allowed", "blocked", "sandboxed")

# Domains for one command, and bytes of what may be one.
BATCH = 100
VALUE_MAX = 1024

# There may be millions of users to list.
LIST_PATIENCE = 10

# Nothing of what a panel put into its environment comes along: that holds
# passwords.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
               "/sbin:/bin", "LC_ALL": "C.UTF-8"}


class Away(Exception):
    """Why nothing can be applied for now."""


class TooLate(Away):
    """That a command was given the time it may take, and took it all."""


class Stuck(Exception):
    """Why this account's events cannot be applied for now."""


class Smtpusers:
    """The command, which inherits a lock: while one still runs whose drain
    was killed, the next drain waits; else it would undo what comes later."""

    def __init__(self, conf, lock):
        self.argv = [conf.smtpusers, "-f", conf.config]
        self.timeout = conf.timeout
        self.lock = lock

    def __call__(self, *words):
        """The exit status, where that is an answer."""
        return self.run(words)[0]

    def json(self, *words, patience=1):
        """What it printed, or None where there is no such account."""
        status, output = self.run(words, patience)
        if status == EX_NOUSER:
            return None
        try:
            return json.loads(output)
        except ValueError:
            raise Stuck("smtpusers printed no JSON") from None

    def run(self, words, patience=1):
        argv = self.argv + [argument(word) for word in words]
        try:
            result = subprocess.run(
                argv, stdin=subprocess.DEVNULL, capture_output=True,
                env=ENVIRONMENT, cwd="/", timeout=self.timeout * patience,
                check=False, pass_fds=(self.lock,))
        except subprocess.TimeoutExpired:
            raise TooLate("smtpusers took longer than %d s" %
                          (self.timeout * patience)) from None
        except OSError as error:
            kind = Away if error.errno in LACKING else BadEvent
            raise kind("%s: %s" % (self.argv[0], error.strerror)) from None
        said = last_line(result.stderr)
        if result.returncode in BAD:
            raise BadEvent(said)
        if result.returncode in AWAY or result.returncode < 0:
            raise Away("%s (status %d)" % (said, result.returncode))
        if result.returncode not in ANSWERS:
            raise Stuck("%s (status %d)" % (said, result.returncode))
        return result.returncode, result.stdout


def argument(word):
    """As bytes; what is no argument at all will never be one."""
    if "\0" in word:
        raise BadEvent("a value holds NUL")
    try:
        return encode(word)
    except UnicodeEncodeError:
        raise BadEvent("a value is not UTF-8") from None


def last_line(data):
    lines = decode(data[-4096:]).strip().splitlines()
    return visible(lines[-1]) if lines else "smtpusers said nothing"


# Steps: each may be repeated, and says what is to be, not what to change.

def need_account(smtpusers, account, plan=None):
    """An account that is there keeps its status."""
    options = ["--plan=" + plan] if plan else []
    if smtpusers("account", "add", *options, "--",
                 account) == EX_CANTCREAT and plan:
        smtpusers("account", "set", "--", account, "plan", plan)


def need_domains(smtpusers, account, *domains):
    """Also for an account that was there before its panel had hooks."""
    words = ("account", "domain", "add", "--", account, *domains)
    if smtpusers(*words) == EX_OK:
        return
    need_account(smtpusers, account)
    if smtpusers(*words) != EX_OK:
        raise Stuck("the account comes and goes")


def need_good_domains(smtpusers, account, domains):
    """All of them but those that are none."""
    for batch in batches(domains):
        try:
            need_domains(smtpusers, account, *batch)
        except BadEvent:
            for domain in batch:
                unless_bad(need_domains, smtpusers, account, domain)


def drop_domains(smtpusers, account, *domains):
    """One that has no account, or not this domain, is what was asked for."""
    for batch in batches(domains):
        smtpusers("account", "domain", "rm", "--", account, *batch)


def batches(values):
    short = [value for value in values
             if len(value.encode("utf-8", "replace")) <= VALUE_MAX]
    for start in range(0, len(short), BATCH):
        yield short[start:start + BATCH]


def users_of(smtpusers, account):
    """Whatever the case of the letters that they name it in, the relay takes
    them for its users."""
    return [user for user in smtpusers.json("list", "--json",
                                            patience=LIST_PATIENCE)
            if fold(user.get("account") or "") == account]


def show_account(smtpusers, account):
    return smtpusers.json("account", "show", "--json", "--", account)


def set_field(smtpusers, account, field, value):
    if smtpusers("account", "set", "--", account, field, value) == EX_OK:
        return
    need_account(smtpusers, account)
    if smtpusers("account", "set", "--", account, field, value) != EX_OK:
        raise Stuck("the account comes and goes")


# Events

def account_created(smtpusers, spool, conf, event):
    need_account(smtpusers, event["account"], plan_of(conf, event))
    if event.get("domain"):
        domain_created(smtpusers, spool, conf, event)


def account_deleted(smtpusers, spool, conf, event):
    """The users first: who gets the name next is somebody else, whose domains
    are not for them."""
    account = event["account"]
    if conf.deleted_users:
        for user in users_of(smtpusers, account):
            if user.get("status") != "blocked":
                smtpusers("block", "--", user["name"])
    smtpusers("account", "rm", "--yes", "--", account)
    spool.forget_suspensions(account)


def account_renamed(smtpusers, spool, _conf, event):
    """The old account goes last: until then a repetition finds all there is
    to copy, and mail flows under the one name or the other."""
    old, new = event["account"], event["new_account"]
    if old == new:
        return
    found = show_account(smtpusers, old)
    need_account(smtpusers, new)
    copy_suspensions(spool, old, new)
    if found is not None:
        copy_account(smtpusers, found, new)
    for user in users_of(smtpusers, old):
        smtpusers("set", "--", user["name"], "account", new)
    if found is not None:
        smtpusers("account", "rm", "--yes", "--", old)
    spool.forget_suspensions(old)


def copy_suspensions(spool, old, new):
    with told_to_be_bad():
        spool.set_suspended(new, spool.suspended(new) | spool.suspended(old))
    former = spool.former_status(old)
    if former is not None:
        spool.set_former_status(new, former)


def copy_account(smtpusers, found, new):
    """What the relay takes of it; a status that is none lets nobody send
    there, and does not here."""
    if found.get("status"):
        set_field(smtpusers, new, "status", known_status(found["status"]))
    if found.get("plan"):
        if len(found["plan"]) <= VALUE_MAX:
            unless_bad(set_field, smtpusers, new, "plan", found["plan"])
    need_good_domains(smtpusers, new, found["domains"])


def known_status(status):
    return status if status in STATUSES else "blocked"


def unless_bad(step, *arguments):
    try:
        step(*arguments)
    except BadEvent:
        return


def account_suspended(smtpusers, spool, _conf, event):
    """A status that is remembered and not blocked any more is not of this
    suspension: somebody has set another since."""
    account = event["account"]
    status = status_of(smtpusers, account)
    if status != "blocked" or spool.former_status(account) is None:
        spool.set_former_status(account, status)
    set_field(smtpusers, account, "status", "blocked")


def account_unsuspended(smtpusers, spool, _conf, event):
    """As it was before. What the operator has set, before or meanwhile, is
    not the panel's to lift."""
    account = event["account"]
    former = spool.former_status(account)
    if former is None:
        return
    if former != "blocked" and status_of(smtpusers, account) == "blocked":
        set_field(smtpusers, account, "status", known_status(former))
    spool.forget_file("status", account)


def status_of(smtpusers, account):
    found = show_account(smtpusers, account)
    if found is None or not found.get("status"):
        return "allowed"
    return known_status(found["status"])


def account_plan(smtpusers, _spool, conf, event):
    plan = plan_of(conf, event)
    if plan:
        set_field(smtpusers, event["account"], "plan", plan)


def domain_created(smtpusers, spool, _conf, event):
    """What is told again of a suspended domain does not end that."""
    account, domain = event["account"], event["domain"]
    if domain_key(domain) not in suspended_domains(spool, account):
        need_domains(smtpusers, account, domain)


def domain_deleted(smtpusers, spool, _conf, event):
    account, domain = event["account"], event["domain"]
    drop_domains(smtpusers, account, domain)
    # Where the suspensions cannot be read, nothing adds a domain either.
    with contextlib.suppress(ValueError):
        spool.unsuspend(account, domain_key(domain))


def domain_renamed(smtpusers, spool, conf, event):
    """The old one goes also where the new one is none: somebody else may get
    it next."""
    account, old, new = (event["account"], event["domain"],
                         event["new_domain"])
    if domain_key(old) == domain_key(new):
        return
    reason = None
    try:
        move_domain(smtpusers, spool, account, old, new)
    except BadEvent as error:
        reason = error
    if event.get("below"):
        move_below(smtpusers, spool, account, old, new,
                   conf.subdomains and not reason)
    domain_deleted(smtpusers, spool, conf, event)
    if reason:
        raise reason


def move_domain(smtpusers, spool, account, old, new):
    """A suspended one stays so."""
    if domain_key(old) in suspended_domains(spool, account):
        suspend_domain(spool, account, new)
    elif domain_key(new) not in suspended_domains(spool, account):
        need_domains(smtpusers, account, new)


def move_below(smtpusers, spool, account, old, new, wanted):
    """The domains below the old one, to below the new one if they are wanted
    there."""
    found = show_account(smtpusers, account)
    moved = below(found["domains"] if found else [], old, new)
    if wanted:
        suspended = below(suspended_domains(spool, account), old, new)
        for domain, there in suspended.items():
            suspend_domain(spool, account, there)
            spool.unsuspend(account, domain)
        need_good_domains(smtpusers, account, moved.values())
    drop_domains(smtpusers, account, *moved)


def below(domains, old, new):
    """Which of them are below the old one, and what they become. A new one
    that is below the old one itself stays, with what is below it."""
    old_end, new_end = "." + domain_key(old), "." + domain_key(new)
    found = {}
    for domain in domains:
        key = domain_key(domain)
        if key.endswith(old_end) and not ("." + key).endswith(new_end):
            found[domain] = key.removesuffix(old_end) + new_end
    return found


def domain_suspended(smtpusers, spool, _conf, event):
    account, domain = event["account"], event["domain"]
    drop_domains(smtpusers, account, domain)
    suspend_domain(spool, account, domain)


def suspend_domain(spool, account, domain):
    key = domain_key(domain)
    if not looks_like_domain(key):
        raise BadEvent("%s: not a domain" % domain)
    with told_to_be_bad():
        spool.suspend(account, key)


def suspended_domains(spool, account):
    with told_to_be_bad():
        return spool.suspended(account)


@contextlib.contextmanager
def told_to_be_bad():
    """A file that cannot be understood does not mend itself, and is not to
    stand in the way of what takes a domain away."""
    try:
        yield
    except ValueError as error:
        raise BadEvent("the suspended domains cannot be told: %s" %
                       error) from None


def domain_unsuspended(smtpusers, spool, _conf, event):
    account, domain = event["account"], event["domain"]
    need_domains(smtpusers, account, domain)
    with told_to_be_bad():
        spool.unsuspend(account, domain_key(domain))


HANDLERS = {
    "account.created": account_created,
    "account.deleted": account_deleted,
    "account.renamed": account_renamed,
    "account.suspended": account_suspended,
    "account.unsuspended": account_unsuspended,
    "account.plan": account_plan,
    "domain.created": domain_created,
    "domain.deleted": domain_deleted,
    "domain.renamed": domain_renamed,
    "domain.suspended": domain_suspended,
    "domain.unsuspended": domain_unsuspended,
}


def plan_of(conf, event):
    if event.get("plan"):
        return event["plan"]
    return conf.plan_of(event["package"]) if event.get("package") else None


def apply_event(smtpusers, spool, conf, event):
    try:
        HANDLERS[event["event"]](smtpusers, spool, conf, event)
    except OSError as error:
        raise Stuck(str(error)) from None


# The spool

def drain(conf, spool, log):
    """Applies what waits, unless somebody is at it, who then takes what has
    come meanwhile. EX_OK, or EX_TEMPFAIL where something has to wait."""
    while True:
        with spool.try_lock("drain.lock") as lock:
            if lock is None:
                return EX_OK
            status = drain_alone(conf, spool, log)
            spool.tidy(conf.remember, conf.window)
        if status != EX_OK or not spool.waiting():
            return status


def drain_alone(conf, spool, log):
    with spool.try_lock("command.lock", conf.timeout) as lock:
        if lock is None:
            log("a command of an earlier run still runs; %d events wait" %
                len(spool.waiting()))
            return EX_TEMPFAIL
        return drain_locked(conf, spool, log, lock)


def drain_locked(conf, spool, log, lock):
    smtpusers = Smtpusers(conf, lock)
    held = set()
    kept = set()
    while True:
        names = [name for name in spool.waiting() if name not in kept]
        if not names:
            return EX_TEMPFAIL if kept else EX_OK
        for name in names:
            try:
                if not drain_one(smtpusers, spool, conf, log, name, held):
                    kept.add(name)
            except Away as reason:
                log("%s; %d events wait" % (reason, len(spool.waiting())))
                return EX_TEMPFAIL


def drain_one(smtpusers, spool, conf, log, name, held):
    """Whether the event is out of the way."""
    event = None
    try:
        event = spool.read(name)
        if event is None:
            return True
        if accounts_of(event) & held:
            held |= accounts_of(event)
            return False
        apply_event(smtpusers, spool, conf, check_event(event))
    except TooLate as reason:
        # Of the first time it is Redis that is slow, perhaps.
        if not spool.is_late(name):
            raise
        return hold(log, name, event, held, reason)
    except Away:
        raise
    except Stuck as reason:
        return hold(log, name, event, held, reason)
    except BadEvent as reason:
        return put_aside(spool, log, name, event, str(reason))
    except OSError:
        raise
    except Exception as error:  # Of one event, which is not the others'.
        return put_aside(spool, log, name, event, repr(error))
    spool.done(name, event)
    return True


def hold(log, name, event, held, reason):
    held |= accounts_of(event)
    log("%s waits: %s: %s" % (name, visible(describe(event)),
                              visible(str(reason))))
    return False


def put_aside(spool, log, name, event, reason):
    spool.set_aside(name, event, reason)
    log("%s set aside: %s: %s" % (name, visible(describe(event or {})),
                                  visible(reason)))
    return True


def spawn_drain(argv, wait):
    """A drain of its own, which goes on when the panel has waited long
    enough."""
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env=ENVIRONMENT, cwd="/",
            start_new_session=True)
        process.wait(wait)
    except (OSError, subprocess.TimeoutExpired):
        # The event is on disk, and the timer comes for it.
        return


def become_owner(directory):
    """The spool's owner, where root runs a hook: what root does there, the
    owner could have it do elsewhere."""
    if os.geteuid() != 0 or not os.path.isdir(directory):
        return
    found = os.stat(directory)
    if found.st_uid == 0:
        return
    os.setgroups(groups_of(found.st_uid, found.st_gid))
    os.setgid(found.st_gid)
    os.setuid(found.st_uid)


def groups_of(uid, gid):
    try:
        return os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:
        return [gid]
