# Copyright (c) 2026 The smtpusers authors
#
# Permission to use, copy, modify, and/or distribute this software for any
# purpose with or without fee is hereby granted, provided that the above
# copyright notice and this permission notice appear in all copies.
#
# THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES
# WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF
# MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR
# ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES
# WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
# ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF
# OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.

"""Applies events with smtpusers(8), each at least once, in order.

Which account a domain belongs to is the panel's to say, and the panel has each
domain once: nothing is compared across accounts here.
"""

import json
import os
import pwd
import subprocess

from .events import BadEvent, accounts_of, check_event, describe
from .text import decode, encode, fold, visible

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

STATUSES = ("allowed", "blocked", "sandboxed")

# There may be millions of users to list.
LIST_PATIENCE = 10

# Nothing of what a panel put into its environment comes along: that holds
# passwords.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
               "/sbin:/bin", "LC_ALL": "C.UTF-8"}


class Away(Exception):
    """Why nothing can be applied for now."""


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
        argv = self.argv + [encode(word) for word in words]
        try:
            result = subprocess.run(
                argv, stdin=subprocess.DEVNULL, capture_output=True,
                env=ENVIRONMENT, cwd="/", timeout=self.timeout * patience,
                check=False, pass_fds=(self.lock,))
        except subprocess.TimeoutExpired:
            raise Away("smtpusers took longer than %d s" %
                       (self.timeout * patience)) from None
        except OSError as error:
            raise Away("%s: %s" % (self.argv[0], error.strerror)) from None
        said = last_line(result.stderr)
        if result.returncode in BAD:
            raise BadEvent(said)
        if result.returncode in AWAY or result.returncode < 0:
            raise Away("%s (status %d)" % (said, result.returncode))
        if result.returncode not in ANSWERS:
            raise Stuck("%s (status %d)" % (said, result.returncode))
        return result.returncode, result.stdout


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


def need_domain(smtpusers, account, domain):
    """Also for an account that was there before its panel had hooks."""
    if smtpusers("account", "domain", "add", "--", account, domain) == EX_OK:
        return
    need_account(smtpusers, account)
    if smtpusers("account", "domain", "add", "--", account, domain) != EX_OK:
        raise Stuck("the account comes and goes")


def drop_domain(smtpusers, account, domain):
    """One that has no account, or not this domain, is what was asked for."""
    smtpusers("account", "domain", "rm", "--", account, domain)


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


def account_deleted(smtpusers, spool, _conf, event):
    smtpusers("account", "rm", "--yes", "--", event["account"])
    spool.set_suspended(event["account"], set())


def account_renamed(smtpusers, spool, _conf, event):
    """The old account goes last: until then a repetition finds all there is
    to copy, and mail flows under the one name or the other."""
    old, new = event["account"], event["new_account"]
    if old == new:
        return
    found = smtpusers.json("account", "show", "--json", "--", old)
    need_account(smtpusers, new)
    spool.set_suspended(new, spool.suspended(new) | spool.suspended(old))
    if found is not None:
        copy_account(smtpusers, found, new)
        smtpusers("account", "rm", "--yes", "--", old)
    spool.set_suspended(old, set())


def copy_account(smtpusers, found, new):
    """What the relay takes of it; a status that is none lets nobody send
    there, and does not here."""
    if found.get("status"):
        known = found["status"] in STATUSES
        set_field(smtpusers, new, "status",
                  found["status"] if known else "blocked")
    if found.get("plan"):
        unless_bad(set_field, smtpusers, new, "plan", found["plan"])
    for domain in found["domains"]:
        unless_bad(need_domain, smtpusers, new, domain)
    for user in smtpusers.json("list", "--json", patience=LIST_PATIENCE):
        if user.get("account") == found["name"]:
            smtpusers("set", "--", user["name"], "account", new)


def unless_bad(step, *arguments):
    try:
        step(*arguments)
    except BadEvent:
        return


def account_suspended(smtpusers, _spool, _conf, event):
    set_field(smtpusers, event["account"], "status", "blocked")


def account_unsuspended(smtpusers, _spool, _conf, event):
    set_field(smtpusers, event["account"], "status", "allowed")


def account_plan(smtpusers, _spool, conf, event):
    plan = plan_of(conf, event)
    if plan:
        set_field(smtpusers, event["account"], "plan", plan)


def domain_created(smtpusers, spool, _conf, event):
    """What is told again of a suspended domain does not end that."""
    account, domain = event["account"], event["domain"]
    if domain_key(domain) not in spool.suspended(account):
        need_domain(smtpusers, account, domain)


def domain_deleted(smtpusers, spool, _conf, event):
    account, domain = event["account"], event["domain"]
    drop_domain(smtpusers, account, domain)
    spool.unsuspend(account, domain_key(domain))


def domain_renamed(smtpusers, spool, conf, event):
    account, old, new = (event["account"], event["domain"],
                         event["new_domain"])
    if domain_key(old) == domain_key(new):
        return
    if event.get("suspended") or domain_key(old) in spool.suspended(account):
        spool.suspend(account, domain_key(new))
    else:
        domain_created(smtpusers, spool, conf, {**event, "domain": new})
    domain_deleted(smtpusers, spool, conf, event)


def domain_suspended(smtpusers, spool, _conf, event):
    account, domain = event["account"], event["domain"]
    spool.suspend(account, domain_key(domain))
    drop_domain(smtpusers, account, domain)


def domain_unsuspended(smtpusers, spool, _conf, event):
    account, domain = event["account"], event["domain"]
    need_domain(smtpusers, account, domain)
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


def domain_key(domain):
    """The same for what a panel writes now so and now so."""
    return fold(domain[:-1] if domain.endswith(".") else domain)


def apply_event(smtpusers, spool, conf, event):
    try:
        HANDLERS[event["event"]](smtpusers, spool, conf, event)
    except (OSError, ValueError) as error:
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
            spool.tidy(conf.remember)
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
        checked = check_event(event)
        apply_event(smtpusers, spool, conf, checked)
    except BadEvent as reason:
        spool.set_aside(name, event, str(reason))
        log("%s set aside: %s: %s" % (name, visible(describe(event or {})),
                                      visible(str(reason))))
        return True
    except Stuck as reason:
        held |= accounts_of(event)
        log("%s waits: %s: %s" % (name, visible(describe(event)),
                                  visible(str(reason))))
        return False
    spool.done(name, event)
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
