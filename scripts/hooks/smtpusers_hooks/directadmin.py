# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""DirectAdmin: hook scripts, which are told everything in the environment.

https://docs.directadmin.com/developer/hooks/domain_management.html
https://docs.directadmin.com/developer/hooks/user_reseller_management.html
"""

from .events import make_event

# The event, and what it takes from which variable.
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


def directadmin_events(hook, variables):
    """What the hook of that name says, of the variables that it was given."""
    kind, names = HOOKS[hook]
    fields = {field: variables.get(name) or None
              for field, name in names.items()}
    if kind == "account.plan" and not fields["package"]:
        return []
    account = variables.get("username") or None
    source = "directadmin " + hook
    events = [make_event(kind, source, account=account, **fields)]
    if kind == "account.created" and variables.get("suspended") == "yes":
        events.append(make_event("account.suspended", source,
                                 account=account))
    return events
