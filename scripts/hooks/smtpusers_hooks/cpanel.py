# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""cPanel & WHM: standardized hooks, which are told in JSON.

https://api.docs.cpanel.net/guides/guide-to-standardized-hooks/
"""

import json
import os
import re

from .events import NAME, make_event
from .text import domain_key, looks_like_domain, visible

INPUT_MAX = 4 << 20
USER_MAX = 1 << 20
DNS_LINE = re.compile(r"^DNS=(\S+)$", re.MULTILINE)
ANY_DNS_LINE = re.compile(r"^DNS[0-9]*=(\S+)$", re.MULTILINE)


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
HOOKS += [("Cpanel", event, "post") for event in (
    "Api2::AddonDomain::addaddondomain", "Api2::AddonDomain::deladdondomain",
    "Api2::Park::park", "Api2::Park::unpark", "Api2::SubDomain::addsubdomain",
    "Api2::SubDomain::delsubdomain", "UAPI::SubDomain::addsubdomain")]


def describe_hooks(path):
    """For manage_hooks, which registers them."""
    return [{"category": category, "event": event, "stage": stage,
             "hook": path, "exectype": "script",
             **({"escalateprivs": 1} if category == "Cpanel" else {})}
            for category, event, stage in HOOKS]


def read_input(file):
    """All that cPanel has to say, of which little is kept."""
    data = file.read(INPUT_MAX + 1)
    while len(data) > INPUT_MAX:
        if not file.read(1 << 16):
            raise BadInput("the input is longer than %d bytes" % INPUT_MAX)
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise BadInput("the input is no JSON") from None
    context = found.get("context") if isinstance(found, dict) else None
    if not isinstance(context, dict):
        raise BadInput("the input has no context")
    payload = found.get("data")
    return context, payload if isinstance(payload, dict) else {}


def key_of(context):
    return tuple(context.get(name) for name in ("category", "event", "stage"))


def cpanel_events(conf, spool, context, data, before=None, log=None):
    """What it comes to; what failed in the panel has not happened."""
    key = key_of(context)
    if key == BEFORE_MODIFY:
        keep(spool, "main", data.get("user"), before)
        return []
    if key in BEFORE_CONVERT:
        keep(spool, "convert", file_of_domain(data.get("domain")), before)
        return []
    if key not in HOOKS:
        raise BadInput("the input is of no event that we asked for")
    if failed(key[1], data):
        return []
    return EVENTS[key[1]](Source(conf, spool, key[1], data, log))


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


class Source:
    """One call of a hook: the fields of what it was told, and events."""

    def __init__(self, conf, spool, name, data, log):
        self.log = log
        self.conf = conf
        self.spool = spool
        self.name = name
        self.data = data

    def __getitem__(self, field):
        """Functions of the API have their parameters one level down."""
        arguments = self.data.get("args")
        for place in (self.data, arguments):
            if isinstance(place, dict) and isinstance(place.get(field), str):
                return place[field] or None
        return None

    def event(self, kind, **fields):
        return make_event(kind, "cpanel " + self.name,
                          **{"account": self["user"], **fields})


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
    old = kept(source, "main", source["user"])
    if old is None or domain_key(old) == domain_key(new):
        return source.event("domain.created", account=account, domain=new)
    return source.event("domain.renamed", account=account, domain=old,
                        new_domain=new, below=True)


def converted(source):
    """The documentation tells of the new account, but not of the old one."""
    account, name = source["username"], source["domain"]
    former = kept(source, "convert", file_of_domain(name))
    events = []
    if former and former != account:
        events.append(source.event("domain.deleted", account=former,
                                   domain=name))
    events.append(source.event("account.created", account=account,
                               domain=name))
    return events


# What is read before a change, when only root can tell, and nobody afterwards.

def known_before(conf, context, data):
    """The main domain of an account, or the account of an addon domain."""
    key = key_of(context)
    if key == BEFORE_MODIFY:
        return main_domain(conf, data.get("user"))
    if key in BEFORE_CONVERT:
        return owner_of(conf, data.get("domain"))
    return None


def main_domain(conf, user):
    match = is_name(user) and DNS_LINE.search(user_file(conf, user))
    return match[1] if match else None


def owner_of(conf, domain):
    """Whose addon domain it is; None where it is not one account's alone."""
    if not file_of_domain(domain):
        return None
    wanted = domain_key(domain)
    try:
        users = filter(is_name, os.listdir(conf.cpanel_users))
    except OSError:
        return None
    owners = [user for user in users if wanted in map(
        domain_key, ANY_DNS_LINE.findall(user_file(conf, user)))]
    return owners[0] if len(owners) == 1 else None


def user_file(conf, user):
    try:
        with open(os.path.join(conf.cpanel_users, user), "rb") as file:
            return file.read(USER_MAX).decode("utf-8", "replace")
    except OSError:
        return ""


def is_name(user):
    return isinstance(user, str) and NAME.fullmatch(user)


def file_of_domain(domain):
    """The name of the file that tells of it; None for what is no domain."""
    if not isinstance(domain, str):
        return None
    key = domain_key(domain)
    return key if looks_like_domain(key) else None


def keep(spool, directory, name, before):
    if not is_name(name) and not file_of_domain(name):
        return
    if before:
        spool.write(directory, name, before)
    else:
        spool.remove(directory, name)


def kept(source, directory, name):
    """It stays until it is changed again, so that a hook which is killed may
    be repeated."""
    if not is_name(name) and not file_of_domain(name):
        return None
    try:
        found = source.spool.load(directory, name)
    except ValueError as error:
        source.log("%s/%s: %s" % (directory, name, visible(str(error))))
        return None
    return found if isinstance(found, str) else None


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
