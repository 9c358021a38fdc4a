# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Events: what a panel says has happened, in our words."""

from provision.names import NAME, fold

from .text import encode

TEXT_MAX = 1024

# The fields that each type needs.
NEEDS = {
    "account.created": ("account",),
    "account.deleted": ("account",),
    "account.renamed": ("account", "new_account"),
    "account.suspended": ("account",),
    "account.unsuspended": ("account",),
    "account.plan": ("account",),
    "domain.created": ("account", "domain"),
    "domain.deleted": ("account", "domain"),
    "domain.renamed": ("account", "domain", "new_domain"),
    "domain.suspended": ("account", "domain"),
    "domain.unsuspended": ("account", "domain"),
}
# What the receiver makes of what a panel says, and nobody sends.
INTERNAL = {
    "account.restored": ("account", "domains"),
    "server.named": ("server", "user", "domain"),
}
ACCOUNTS = ("account", "new_account")
FIELDS = ("account", "new_account", "domain", "new_domain", "plan",
          "package")
# Those that only an internal one has.
MORE = ("server", "user")


class BadEvent(Exception):
    """Why an event can never be applied."""


def make_event(kind, source, **fields):
    """An event of what a panel gave, which may be anything: what is no text
    is left out, and what is too long for a name is cut, so that a check finds
    either."""
    event = {"event": kind, "source": source}
    for field, value in fields.items():
        if isinstance(value, str):
            event[field] = value[:TEXT_MAX + 1]
        elif value is True or isinstance(value, list):
            event[field] = value
    return event


def check_sent(event):
    """An event that somebody outside has made."""
    if event.get("event") in INTERNAL:
        raise BadEvent("there is no such event")
    return check_event(event)


def check_event(event):
    """The event with its account names folded, or BadEvent."""
    kind = event.get("event")
    needs = {**NEEDS, **INTERNAL}
    if not isinstance(kind, str) or kind not in needs:
        raise BadEvent("there is no such event")
    for field in needs[kind]:
        if field != "domains" and not event.get(field):
            raise BadEvent("%s: missing" % field)
    check_domains(event.get("domains", []))
    for field in FIELDS + MORE:
        check_text(field, event.get(field))
    if kind == "account.plan" and not (
            event.get("plan") or event.get("package")):
        raise BadEvent("plan: missing")
    folded = {field: account_of(field, event[field])
              for field in ACCOUNTS if field in event}
    return {**event, **folded}


def check_domains(domains):
    if not isinstance(domains, list):
        raise BadEvent("domains: not a list")
    for domain in domains:
        check_text("domains", domain)


def check_text(field, value):
    if value is None:
        return
    if not isinstance(value, str):
        raise BadEvent("%s: not a text" % field)
    if len(value) > TEXT_MAX:
        raise BadEvent("%s: too long" % field)
    if "\0" in value:
        raise BadEvent("%s: holds NUL" % field)
    try:
        encode(value)
    except UnicodeEncodeError:
        raise BadEvent("%s: not UTF-8" % field) from None


def with_prefix(event, prefix):
    """The event, of the accounts whose names begin so. What is no name stays
    as it is, so that a check finds it."""
    named = {field: prefix + event[field] for field in ACCOUNTS
             if isinstance(event.get(field), str) and
             NAME.fullmatch(fold(event[field]))}
    return {**event, **named}


def account_of(field, text):
    name = fold(text)
    if NAME.fullmatch(name):
        return name
    raise BadEvent("%s: not an account name: 1 to 64 of a-z 0-9 . _ + -, the "
                   "first a letter or digit" % field)


def subjects_of(event):
    """The accounts that an event is about, or the server, as far as it says:
    what comes later for one of them must wait for it."""
    return {(field == "server", fold(event[field]))
            for field in (*ACCOUNTS, "server")
            if isinstance(event.get(field), str)}


def describe(event):
    """One line; the reader makes it visible."""
    words = [event.get(field) for field in
             ("event", "account", "new_account", "domain", "new_domain",
              "plan", "package", "server", "user")]
    return " ".join(word[:80] for word in words if isinstance(word, str))
