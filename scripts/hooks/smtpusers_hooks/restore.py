# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What a panel's own files say of a user, which notify sends along.

found has lists of values by key, as in /var/cpanel/users: DNS and DNS1, DNS2
and so on are domains, PLAN is a package, SUSPENDED is 1 or not there.
"""

from .events import make_event
from .text import domain_key


def restored(conf, source, user, found, domains=()):
    """That a user has all this; domains are those to be had where the files
    say nothing."""
    named = [name for key, values in found.items() if key.startswith("DNS")
             for name in values]
    events = [make_event("account.restored", source, account=user,
                         package=first(found, "PLAN"),
                         domains=wanted(conf, named) or list(domains))]
    if first(found, "SUSPENDED") == "1":
        events.append(make_event("account.suspended", source, account=user))
    return events


def wanted(conf, domains):
    """Subdomains are told from others by what they are below."""
    if conf.subdomains:
        return domains
    keys = list(map(domain_key, domains))
    return [domain for domain, key in zip(domains, keys)
            if not any(key.endswith("." + other) for other in keys)]


def first(found, key):
    return found[key][0] if found.get(key) else None
