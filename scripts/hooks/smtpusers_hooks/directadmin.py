# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""DirectAdmin: hook scripts, which are told everything in the environment.

https://docs.directadmin.com/developer/hooks/domain_management.html
https://docs.directadmin.com/developer/hooks/user_reseller_management.html
"""

from .events import make_event
from .text import decode

# The event, and what it takes from which variable. Nothing else is looked at:
# a password may be among the rest.
HOOKS = {
    "domain_create_post": ("domain.created", {"domain": "domain"}),
    "domain_destroy_post": ("domain.deleted", {"domain": "domain"}),
    "domain_change_post": ("domain.renamed", {"domain": "domain",
                                              "new_domain": "newdomain"}),
    "domain_pointer_create_post": ("domain.created", {"domain": "from"}),
    "domain_pointer_destroy_post": ("domain.deleted", {"domain": "from"}),
    "user_create_post": ("account.created", {"domain": "domain",
                                             "package": "package"}),
    "user_modify_post": ("account.plan", {"package": "package"}),
    "user_destroy_post": ("account.deleted", {}),
    "user_suspend_post": ("account.suspended", {}),
    "user_activate_post": ("account.unsuspended", {}),
}


def directadmin_events(hook, environment):
    """What the hook of that name says, of an environment in bytes."""
    kind, variables = HOOKS[hook]
    fields = {field: value_of(environment, name)
              for field, name in variables.items()}
    if kind == "account.plan" and not fields["package"]:
        return []
    account = value_of(environment, "username")
    source = "directadmin " + hook
    events = [make_event(kind, source, account=account, **fields)]
    if kind == "account.created" and value_of(environment,
                                              "suspended") == "yes":
        events.append(make_event("account.suspended", source,
                                 account=account))
    return events


def value_of(environment, name):
    """Where it is not set, nothing: a check will say so."""
    value = environment.get(name.encode())
    return decode(value) if value else None
