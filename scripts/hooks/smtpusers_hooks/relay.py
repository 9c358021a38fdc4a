# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Accounts and users in Redis, written by the code of smtpusers(8).

Each step says what is to be, not what to change, and may be repeated.
"""

from provision import suppressions
from provision.accounts import STATUSES, users_of
from provision.alabels import alabels
from provision.configuration import read_configuration
from provision.connection import ReplyError
from provision.events import set_status
from provision.failure import EX_DATAERR, Failure
from provision.functions import call, call_json, schema_of
from provision.pages import members
from provision.records import account_key, user_key
from provision.servers import connect

from .events import BadEvent
from .text import domain_key

# Domains for one call, and bytes of what may be one.
BATCH = 100
VALUE_MAX = 1024


class Away(Exception):
    """Why nothing can be applied for now."""


class Stuck(Exception):
    """Why this account's events cannot be applied for now."""


class Relay:
    """What an event may do to accounts and users. Every method raises Away
    where Redis or this host lacks something, and BadEvent where what was
    asked for can never be."""

    def __init__(self, path):
        """path is the relay's configuration."""
        with understood():
            self.redis = connect(read_configuration(path))

    def ask(self, function, key, *words, unless=()):
        """The reply; None for a refusal of one of these kinds."""
        return replied(unless, lambda: call(self.redis, function, key,
                                            *map(word, words)))

    def account(self, name):
        """The fields of an account, or None."""
        return replied(("NOACCOUNT",), lambda: call_json(
            self.redis, "account_get", account_key(self.redis, name)))

    def domains(self, name):
        """All domains of an account, in lists that are not long, some perhaps
        twice."""
        with understood():
            yield from members(self.redis, account_key(self.redis, name,
                                                       ":domains"))

    def account_fields(self):
        """The names of what an account may have."""
        with understood():
            return list(schema_of(self.redis).fields["account"])

    def copy_suppressed(self, old, new):
        """The recipients that get no mail from an account, to those of
        another."""
        def step():
            return suppressions.write(
                self.redis, "account", account_key(self.redis, new), "",
                map(suppressions.entry_text, suppressions.recipients_of(
                    self.redis, "account", account_key(self.redis, old))))
        replied(("NOACCOUNT",), step)

    def change_account(self, function, name, *words, unless=()):
        return self.ask("account_" + function, account_key(self.redis, name),
                        *words, unless=unless)

    def need_account(self, name, plan=None):
        """One that is there keeps its status."""
        given = ("status", "allowed", "plan", plan or "basic")
        if self.change_account("add", name, *given,
                               unless=("EXISTS",)) is None and plan:
            self.change_account("set", name, "plan", plan,
                                unless=("NOACCOUNT",))

    def drop_account(self, name):
        self.change_account("del", name)

    def set_field(self, name, field, value):
        self.change_needed("set", name, field, value)

    def need_domains(self, name, domains):
        with understood():
            words = list(map(alabels, domains))
        self.change_needed("domain_add", name, *words)

    def set_status(self, name, status):
        """Another one than before is told, as an event."""
        self.change(name, lambda: replied(("NOACCOUNT",), lambda: set_status(
            self.redis, "account", name, status, "panel")))

    def change_needed(self, function, name, *words):
        self.change(name, lambda: self.change_account(
            function, name, *words, unless=("NOACCOUNT",)))

    def change(self, name, step):
        """Also an account that was there before its panel had hooks."""
        for _ in range(2):
            if step() is not None:
                return
            self.need_account(name)
        raise Stuck("account %s was removed meanwhile; tried again later" % name)

    def need_good_domains(self, name, domains):
        """All of them but those that are none."""
        for batch in batches(domains):
            try:
                self.need_domains(name, batch)
            except BadEvent:
                for domain in batch:
                    unless_bad(self.need_domains, name, [domain])

    def drop_domains(self, name, domains):
        """One that has no account, or not this domain, is what was asked
        for."""
        for batch in batches(domains):
            self.change_account("domain_rm", name, *batch,
                                *map(domain_key, batch),
                                unless=("NOACCOUNT",))

    def users(self, account):
        """Names, statuses and when these end of its users. Whatever the case
        of the letters that they name it in, the relay takes them for its
        users."""
        with understood():
            for users in users_of(self.redis, account):
                yield from users

    def set_user(self, name, field, value):
        """Whether there is such a user."""
        return self.ask("user_set", user_key(self.redis, name), field, value,
                        unless=("NOUSER",)) is not None

    def user_domain(self, action, name, domain):
        """add or rm; whether there is such a user."""
        return self.ask("user_domain_" + action, user_key(self.redis, name),
                        domain, unless=("NOUSER",)) is not None


class understood:
    """Tells what the operator has to mend from what is the event's fault."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        if not isinstance(error, Failure):
            return
        if error.code == EX_DATAERR:
            raise BadEvent(str(error)) from None
        raise Away(str(error).splitlines()[0]) from None


def replied(unless, step):
    with understood():
        try:
            return step()
        except ReplyError as error:
            if error.kind in unless:
                return None
            raise


def word(text):
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise BadEvent("a value is not UTF-8") from None
    return text


def batches(values):
    short = [value for value in values
             if len(value.encode("utf-8", "replace")) <= VALUE_MAX]
    for start in range(0, len(short), BATCH):
        yield short[start:start + BATCH]


def unless_bad(step, *arguments):
    """Whether it was taken."""
    try:
        step(*arguments)
    except BadEvent:
        return False
    return True


def known_status(status):
    """A status that is none lets nobody send where it stands, and so not
    elsewhere."""
    return status if status in STATUSES else "blocked"
