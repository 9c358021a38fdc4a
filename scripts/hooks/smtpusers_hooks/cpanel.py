# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""cPanel & WHM: standardized hooks, which are told in JSON.

https://api.docs.cpanel.net/guides/guide-to-standardized-hooks/
"""

import json

from provision.names import NAME

from .events import make_event
from .restore import first, restored
from .text import decode, domain_key, looks_like_domain, visible


class BadInput(Exception):
    """Why what cPanel said is nothing that cPanel says."""


# Category, event, stage. What the Cpanel category does runs as the user of
# the panel unless it is told otherwise.
HOOKS = [("Whostmgr", "Accounts::" + event, "post") for event in (
    "Create", "Remove", "Modify", "change_package", "suspendacct",
    "unsuspendacct")]
BEFORE_MODIFY = ("Whostmgr", "Accounts::Modify", "pre")
HOOKS += [BEFORE_MODIFY]
# The documentation has a category of this name, of what WHM does; the rest of
# what WHM does is in its own.
CONVERT = "ConvertAddon::convert_addon"
BEFORE_CONVERT = [(category, CONVERT, "pre")
                  for category in ("ConvertAddon", "Whostmgr")]
HOOKS += BEFORE_CONVERT
HOOKS += [(category, event, "post") for category, event, _ in BEFORE_CONVERT]
HOOKS += [("Whostmgr", event, "post") for event in (
    "Domain::park", "Domain::unpark", "ParkAdmin::park", "ParkAdmin::unpark",
    "Domain::addsubdomain", "Domain::delsubdomain")]
# Of a backup, or of an account that is transferred from another server.
RESTORE = "Restore"
HOOKS += [("PkgAcct", RESTORE, "post")]
HOOKS += [("Cpanel", event, "post") for event in (
    "Api2::AddonDomain::addaddondomain", "Api2::AddonDomain::deladdondomain",
    "Api2::Park::park", "Api2::Park::unpark", "Api2::SubDomain::addsubdomain",
    "Api2::SubDomain::delsubdomain", "UAPI::SubDomain::addsubdomain")]


def read_input(data):
    """The context of a call, and what it was told. One value that is not
    UTF-8 is not the end of the others."""
    try:
        found = json.loads(decode(data))
    except (ValueError, RecursionError):
        raise BadInput("the input is no JSON") from None
    context = found.get("context") if isinstance(found, dict) else None
    if not isinstance(context, dict):
        raise BadInput("the input has no context")
    payload = found.get("data")
    return context, payload if isinstance(payload, dict) else {}


def key_of(context):
    return tuple(context.get(name) for name in ("category", "event", "stage"))


def cpanel_events(conf, keeper, data, known, log):
    """What a call comes to; what failed in the panel has not happened. known
    has, by user, what /var/cpanel/users says of the users that the call
    names."""
    context, data = read_input(data)
    key = key_of(context)
    if key == BEFORE_MODIFY:
        keeper.keep("main", name_of(data.get("user")),
                    main_domain(known, data.get("user")))
        return []
    if key in BEFORE_CONVERT:
        keeper.keep("convert", file_of_domain(data.get("domain")),
                    owner_of(known, data.get("domain")))
        return []
    if key not in HOOKS:
        raise BadInput("the input is of no event that we asked for")
    if failed(key[1], data):
        return []
    return EVENTS[key[1]](Source(conf, keeper, key[1], data, known, log))


def failed(event, data):
    """API 2 hooks run also when nothing was done; the others need not say."""
    output = data.get("output")
    if event.startswith("Api2::"):
        return not isinstance(output, list) or not output or not all(
            isinstance(part, dict) and truth(part.get("result"))
            for part in output)
    if event == CONVERT:
        return not truth(data.get("status"))
    return data.get("result") in (0, "0", False)


def truth(value):
    return value in (1, "1", True)


OWNERS = ("user", "username", "newuser", "old_user")


class Source:
    """One call of a hook: the fields of what it was told, and events."""

    def __init__(self, conf, keeper, name, data, known, log):
        self.log = log
        self.conf = conf
        self.keeper = keeper
        self.name = name
        self.data = data
        self.known = known

    def __getitem__(self, field):
        """Functions of the API have their parameters one level down. Who
        called them is not theirs to say."""
        arguments = None if field in OWNERS else self.data.get("args")
        for place in (self.data, arguments):
            if isinstance(place, dict) and isinstance(place.get(field), str):
                return place[field] or None
        return None

    def event(self, kind, **fields):
        return make_event(kind, "cpanel " + self.name,
                          **{"account": self["user"], **fields})

    def kept(self, directory, name):
        """It stays until it is changed again, so that a call may come
        twice."""
        try:
            return self.keeper.kept(directory, name)
        except ValueError as error:
            self.log("%s/%s: %s" % (directory, visible(str(name)),
                                    visible(str(error))))
            return None


def account_created(source):
    return [source.event("account.created", domain=source["domain"],
                         package=source["plan"])]


def account_plan(source):
    return [source.event("account.plan", package=source["new_pkg"])]


def simple(kind):
    return lambda source: [source.event(kind)]


def domain(kind, field):
    return lambda source: [source.event(kind, domain=source[field])]


def account_modified(source):
    """WHM says so of any change; the main domain may be among it, the name of
    the account too."""
    events = []
    account = source["user"]
    new_name = source["newuser"]
    if new_name and account and new_name != account:
        events.append(source.event("account.renamed", new_account=new_name))
        account = new_name
    new = source["domain"] or source["DNS"]
    if new:
        events.append(main_domain_changed(source, account, new))
    return events


def main_domain_changed(source, account, new):
    """cPanel renames the subdomains of the main domain with it."""
    old = source.kept("main", name_of(source["user"]))
    if old is None or domain_key(old) == domain_key(new):
        return source.event("domain.created", account=account, domain=new)
    return source.event("domain.renamed", account=account, domain=old,
                        new_domain=new, below=True)


def converted(source):
    """The documentation tells of the new account, but not of the old one."""
    account, name = source["username"], source["domain"]
    former = source.kept("convert", file_of_domain(name))
    events = []
    if former and former != account:
        events.append(source.event("domain.deleted", account=former,
                                   domain=name))
    events.append(source.event("account.created", account=account,
                               domain=name))
    return events


def account_restored(source):
    """The call tells of the main domain alone."""
    user = name_of(source["user"]) or source["old_user"]
    return restored(source.conf, "cpanel " + source.name, user,
                    source.known.get(user, {}),
                    filter(None, [source["domain"]]))


# What is told before a change: nobody knows it afterwards.

def main_domain(known, user):
    return first(known.get(user, {}), "DNS") if name_of(user) else None


def owner_of(known, domain):
    """Whose addon domain it is; None where it is not one account's alone."""
    if not file_of_domain(domain):
        return None
    key = domain_key(domain)
    owners = [user for user, found in known.items()
              if key in (domain_key(name) for field, names in found.items()
                         if field.startswith("DNS") for name in names)]
    return owners[0] if len(owners) == 1 else None


def name_of(user):
    """The name of a file that tells of it; None for what is no name."""
    return user if isinstance(user, str) and NAME.fullmatch(user) else None


def file_of_domain(domain):
    """The name of the file that tells of it; None for what is no domain."""
    if not isinstance(domain, str):
        return None
    key = domain_key(domain)
    return key if looks_like_domain(key) else None


def subdomain(kind, whole):
    """Subdomains are domains of their own, unless the operator says they are
    not; one for every name is none."""
    def events(source):
        name = whole(source)
        if not source.conf.subdomains or (name and name.startswith("*")):
            return []
        return [source.event(kind, domain=name)]
    return events


def under_root(field):
    """The name below its root domain, whether that is said again or not."""
    def whole(source):
        name, root = source[field], source["rootdomain"]
        if not name or not root or name.endswith("." + root):
            return name
        return "%s.%s" % (name, root)
    return whole


def underscored(source):
    """name_rootdomain, or the whole name."""
    name = source["domain"]
    if not name:
        return name
    label, mark, root = name.rpartition("_")
    return "%s.%s" % (label, root) if mark else name


EVENTS = {
    "Accounts::Create": account_created,
    "Accounts::Remove": simple("account.deleted"),
    "Accounts::Modify": account_modified,
    "Accounts::change_package": account_plan,
    "Accounts::suspendacct": simple("account.suspended"),
    "Accounts::unsuspendacct": simple("account.unsuspended"),
    CONVERT: converted,
    RESTORE: account_restored,
    "Domain::park": domain("domain.created", "new_domain"),
    "Domain::unpark": domain("domain.deleted", "domain"),
    "ParkAdmin::park": domain("domain.created", "new_domain"),
    "ParkAdmin::unpark": domain("domain.deleted", "domain"),
    "Domain::addsubdomain": subdomain("domain.created",
                                      under_root("subdomain")),
    "Domain::delsubdomain": subdomain("domain.deleted",
                                      under_root("subdomain")),
    "Api2::AddonDomain::addaddondomain": domain("domain.created",
                                                "newdomain"),
    "Api2::AddonDomain::deladdondomain": domain("domain.deleted", "domain"),
    "Api2::Park::park": domain("domain.created", "domain"),
    "Api2::Park::unpark": domain("domain.deleted", "domain"),
    "Api2::SubDomain::addsubdomain": subdomain("domain.created",
                                               under_root("domain")),
    "UAPI::SubDomain::addsubdomain": subdomain("domain.created",
                                               under_root("domain")),
    "Api2::SubDomain::delsubdomain": subdomain("domain.deleted",
                                               underscored),
}
