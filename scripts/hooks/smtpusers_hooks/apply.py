# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Applies one event to the accounts of the relay. To apply it twice changes
nothing more.

The panel decides which account a domain belongs to, and has each domain once.
With several panels one domain can end in two accounts: nothing checks that here.
"""

import contextlib

from .events import BadEvent
from .relay import Stuck, known_status, unless_bad
from .text import domain_key, looks_like_domain


class NoSuchUser(Exception):
    """The SMTP user whom the host name of a server is to go to."""


def apply_event(relay, spool, conf, event):
    try:
        HANDLERS[event["event"]](relay, spool, conf, event)
    except OSError as error:
        raise Stuck(str(error)) from None


def account_created(relay, spool, conf, event):
    relay.need_account(event["account"], plan_of(conf, event))
    if event.get("domain"):
        domain_created(relay, spool, conf, event)


def account_restored(relay, spool, conf, event):
    """With all its domains but those that are suspended."""
    account = event["account"]
    relay.need_account(account, plan_of(conf, event))
    suspended = suspended_domains(spool, account)
    relay.need_good_domains(account, [
        domain for domain in event["domains"]
        if domain_key(domain) not in suspended])


def account_deleted(relay, spool, conf, event):
    """The users first: who gets the name next is somebody else, whose domains
    are not for them."""
    account = event["account"]
    if conf.deleted_users:
        for user, status, ends in relay.users(account):
            if status != "blocked" or ends:
                relay.set_user(user, "status", "blocked")
    relay.drop_account(account)
    spool.forget_suspensions(account)


def account_renamed(relay, spool, _conf, event):
    """The old account goes last: until then a repetition finds all there is
    to copy, and mail flows under the one name or the other."""
    old, new = event["account"], event["new_account"]
    if old == new:
        return
    found = relay.account(old)
    relay.need_account(new)
    copy_suspensions(spool, old, new)
    if found is not None:
        if not copied(relay, found, new):
            # Also when the panel ends the suspension.
            relay.set_field(new, "status", "blocked")
            spool.forget_file("status", new)
        for domains in relay.domains(old):
            relay.need_good_domains(new, domains)
    for user, *_ in relay.users(old):
        # Who has not the prefix of its users is refused, and stays so.
        if not unless_bad(relay.set_user, user, "account", new):
            relay.set_user(user, "status", "blocked")
    if found is not None:
        relay.drop_account(old)
    spool.forget_suspensions(old)


def copy_suspensions(spool, old, new):
    with told_to_be_bad():
        spool.set_suspended(new, spool.suspended(new) | spool.suspended(old))
    former = spool.former_status(old)
    if former is not None:
        spool.set_former_status(new, former)


def copied(relay, found, new):
    """Whether all was, for which mail is stopped where it cannot be read: a
    plan is not."""
    values = {field: found[field] for field in relay.account_fields()
              if found.get(field)}
    status, plan = values.pop("status", None), values.pop("plan", None)
    if status:
        relay.set_field(new, "status", known_status(status))
    if plan:
        unless_bad(relay.set_field, new, "plan", plan)
    if found["suppressed_count"]:
        relay.copy_suppressed(found["name"], new)
    taken = [unless_bad(relay.set_field, new, *value)
             for value in values.items()]
    return all(taken) and found["suppressed_count"] is not None


def account_suspended(relay, spool, _conf, event):
    """A status that is remembered and not blocked any more is not of this
    suspension: somebody has set another since."""
    account = event["account"]
    status = status_of(relay, account)
    if status != "blocked" or spool.former_status(account) is None:
        spool.set_former_status(account, status)
    relay.set_status(account, "blocked")


def account_unsuspended(relay, spool, _conf, event):
    """As it was before. What the operator has set, before or meanwhile, is
    not the panel's to lift."""
    account = event["account"]
    former = spool.former_status(account)
    if former is None:
        return
    if former != "blocked" and status_of(relay, account) == "blocked":
        relay.set_status(account, known_status(former))
    spool.forget_file("status", account)


def status_of(relay, account):
    found = relay.account(account)
    if found is None or not found.get("status"):
        return "allowed"
    return known_status(found["status"])


def account_plan(relay, _spool, conf, event):
    plan = plan_of(conf, event)
    if plan:
        relay.set_field(event["account"], "plan", plan)


def domain_created(relay, spool, _conf, event):
    """What is told again of a suspended domain does not end that."""
    account, domain = event["account"], event["domain"]
    if domain_key(domain) not in suspended_domains(spool, account):
        relay.need_domains(account, [domain])


def domain_deleted(relay, spool, _conf, event):
    account, domain = event["account"], event["domain"]
    relay.drop_domains(account, [domain])
    # Where the suspensions cannot be read, nothing adds a domain either.
    with contextlib.suppress(ValueError):
        spool.unsuspend(account, domain_key(domain))


def domain_renamed(relay, spool, conf, event):
    """The old one goes also where the new one is none: somebody else may get
    it next."""
    account, old, new = (event["account"], event["domain"],
                         event["new_domain"])
    if domain_key(old) == domain_key(new):
        return
    reason = None
    try:
        move_domain(relay, spool, account, old, new)
    except BadEvent as error:
        reason = error
    if event.get("below"):
        move_below(relay, spool, account, old, new,
                   conf.subdomains and not reason)
    domain_deleted(relay, spool, conf, event)
    if reason:
        raise reason


def move_domain(relay, spool, account, old, new):
    """A suspended one stays so."""
    if domain_key(old) in suspended_domains(spool, account):
        suspend_domain(spool, account, new)
    elif domain_key(new) not in suspended_domains(spool, account):
        relay.need_domains(account, [new])


def move_below(relay, spool, account, old, new, wanted):
    """The domains below the old one, to below the new one if they are wanted
    there."""
    moved = {}
    for domains in relay.domains(account):
        moved.update(below(domains, old, new))
    if wanted:
        suspended = below(suspended_domains(spool, account), old, new)
        for domain, there in suspended.items():
            suspend_domain(spool, account, there)
            spool.unsuspend(account, domain)
        relay.need_good_domains(account, moved.values())
    relay.drop_domains(account, moved)


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


def domain_suspended(relay, spool, _conf, event):
    account, domain = event["account"], event["domain"]
    relay.drop_domains(account, [domain])
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


def domain_unsuspended(relay, spool, _conf, event):
    account, domain = event["account"], event["domain"]
    relay.need_domains(account, [domain])
    with told_to_be_bad():
        spool.unsuspend(account, domain_key(domain))


def server_named(relay, spool, _conf, event):
    """The new name first: mail under the old one flows until it goes."""
    server, user, name = event["server"], event["user"], event["domain"]
    if not relay.user_domain("add", user, name):
        raise NoSuchUser("%s: no such user; it gets the name %s of server %s "
                         "when there is one" % (user, name, server))
    former = spool.host_of(server)
    if former and former != {"user": user, "name": name}:
        relay.user_domain("rm", former["user"], former["name"])
        relay.user_domain("add", user, name)
    spool.set_host(server, user, name)


HANDLERS = {
    "account.created": account_created,
    "account.restored": account_restored,
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
    "server.named": server_named,
}


def plan_of(conf, event):
    if event.get("plan"):
        return event["plan"]
    return conf.plan_of(event["package"]) if event.get("package") else None
