# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The configuration of the hooks: see smtpusers-hooks(8)."""

import configparser
import ipaddress
import os
import re

from provision.names import NAME

from .text import visible

PREFIX = re.compile(r"(?:[a-z0-9][a-z0-9._+-]{0,31})?")
SECTION = re.compile(r"(server|deliver) ([a-z0-9][a-z0-9._-]{0,63})")
URL = re.compile(r"(https)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]+))?"
                 r"(/[!-~]*)?", re.IGNORECASE)
LOCAL_URL = re.compile(r"(http)://(127\.0\.0\.1|localhost|\[::1\])"
                       r"(?::([0-9]+))?(/[!-~]*)?", re.IGNORECASE)
ADDRESS = re.compile(r"[^\s@<>(),;:\\\"{}\x00-\x1f\x7f-]"
                     r"[^\s@<>(),;:\\\"{}\x00-\x1f\x7f]*@[a-z0-9.-]+",
                     re.IGNORECASE)

EX_CONFIG = 78


class ConfigError(Exception):
    """What is wrong, with the file that it is wrong in."""


def path_of(text):
    if not text.startswith("/") or "\0" in text:
        raise ValueError("not an absolute path")
    return text


def choice_of(yes, no):
    """Whether it is the one, and not the other."""
    def check(text):
        if text not in (yes, no):
            raise ValueError("neither %s nor %s" % (yes, no))
        return text == yes
    return check


def prefix_of(text):
    if not PREFIX.fullmatch(text):
        raise ValueError("not the beginning of an account name: up to 32 of "
                         "a-z 0-9 . _ + -, the first a letter or digit")
    return text


def number_of(low, high):
    def check(text):
        if not (text.isascii() and text.isdigit() and len(text) < 12 and
                low <= int(text) <= high):
            raise ValueError("not a number from %d to %d" % (low, high))
        return int(text)
    return check


def optional(check):
    return lambda text: check(text) if text else ""


def name_of(text):
    if not NAME.fullmatch(text):
        raise ValueError("not a user name")
    return text


def listen_of(text):
    """A path, or an address and port."""
    if text.startswith("unix:"):
        return path_of(text[len("unix:"):])
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    return str(ipaddress.ip_address(host)), number_of(0, 65535)(port)


def url_of(text):
    """Whether by TLS, host, port and path."""
    match = URL.fullmatch(text) or LOCAL_URL.fullmatch(text)
    if not match:
        raise ValueError("neither https nor this host")
    by_tls = match[1].lower() == "https"
    port = number_of(1, 65535)(match[3] or ("443" if by_tls else "80"))
    return by_tls, match[2].strip("[]"), port, match[4] or "/"


def address_of(text):
    if not ADDRESS.fullmatch(text):
        raise ValueError("not a plain address")
    return text


def addressee_of(text):
    """An address, in which {user} and {account} stand for names."""
    address_of(text.replace("{user}", "u").replace("{account}", "a"))
    return text


# Section, key, what reads it, default.
KEYS = (
    ("hooks", "spool", path_of, "/var/spool/smtpusers-hooks"),
    ("hooks", "config", path_of, "@SYSCONFDIR@/smtpusers.conf"),
    ("hooks", "account_prefix", prefix_of, ""),
    ("hooks", "deleted_users", choice_of("block", "keep"), "block"),
    ("hooks", "subdomains", choice_of("yes", "no"), "yes"),
    ("webhook", "listen", listen_of, "127.0.0.1:8025"),
    ("webhook", "certificate", optional(path_of), ""),
    ("webhook", "key", optional(path_of), ""),
    ("webhook", "path", path_of, "/event"),
    ("webhook", "secret_file", path_of,
     "@SYSCONFDIR@/smtpusers-hooks.secret"),
    ("webhook", "window", number_of(1, 3600), "300"),
    ("webhook", "max_body", number_of(256, 1 << 20), "262144"),
    ("webhook", "connections", number_of(1, 1024), "256"),
    ("webhook", "deadline", number_of(1, 300), "30"),
    ("webhook", "remember", number_of(1, 3650), "30"),
)

# The keys of a section [server NAME].
SERVER_KEYS = (
    ("secret_file", path_of, ""),
    ("account_prefix", prefix_of, ""),
    ("user", optional(name_of), ""),
)

# The keys of a section [deliver NAME].
DELIVER_KEYS = (
    ("config", optional(path_of), ""),
    ("kinds", str.split, "*"),
    ("url", optional(url_of), ""),
    ("secret_file", optional(path_of), ""),
    ("server", optional(name_of), ""),
    ("ca", optional(path_of), ""),
    ("mail", optional(addressee_of), ""),
    ("sender", optional(address_of), ""),
    ("template", path_of, "@DATADIR@/hooks/event.mail"),
    ("sendmail", path_of, "/usr/sbin/sendmail"),
    ("timeout", number_of(1, 300), "20"),
    ("retry", number_of(2, 3600), "60"),
    ("max_age", number_of(60, 30 * 86400), "86400"),
)

SECTION_KEYS = {"server": SERVER_KEYS, "deliver": DELIVER_KEYS}

# What make install has put in place of these names, where it has not.
PLACES = {"SYSCONFDIR": "/etc", "DATADIR": os.path.dirname(os.path.dirname(
    os.path.dirname(os.path.realpath(__file__))))}


class Section:
    """A server with a panel: secret_file, account_prefix, and the user who
    gets its host name, or "". It is called "" where it has no section.

    Or a way to deliver events by: each key as an attribute."""

    def __init__(self, name, values):
        self.name = name
        self.__dict__.update(values)


class Config:
    """Each key as an attribute; plans maps the panel's packages, servers and
    deliveries their names."""

    def __init__(self, values, plans, servers, deliveries):
        self.__dict__.update(values)
        self.plans = plans
        self.servers = {"": Section("", {
            "secret_file": self.secret_file, "user": "",
            "account_prefix": self.account_prefix}), **servers}
        self.deliveries = deliveries

    def plan_of(self, package):
        """The plan of a package of the panel, or None where the packages do
        not decide."""
        if not self.plans:
            return None
        return self.plans.get(package, "basic")


def default_of(text):
    for name, value in PLACES.items():
        text = text.replace("@%s@" % name, value)
    return text


def read_config(path):
    """The configuration; a file that is not there leaves the defaults."""
    parser = configparser.ConfigParser(
        delimiters=("=",), comment_prefixes=("#",), interpolation=None,
        default_section="")
    parser.optionxform = str
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
    except FileNotFoundError:
        pass
    except (OSError, configparser.Error, UnicodeDecodeError) as error:
        raise ConfigError("%s: %s" % (path, visible(str(error)))) from None
    conf = Config(read_values(parser, path), read_plans(parser),
                  read_sections(parser, path, "server"),
                  read_sections(parser, path, "deliver"))
    check_prefixes(conf, path)
    return conf


def read_values(parser, path):
    for section in parser.sections():
        for key in parser[section]:
            if not is_key(section, key):
                raise ConfigError("%s: [%s] %s: unknown" % (
                    path, visible(section), visible(key)))
    values = {key: read_value(parser, path, section, key, read,
                              default_of(default))
              for section, key, read, default in KEYS}
    check_listen(values, path)
    return values


def is_key(section, key):
    named = SECTION.fullmatch(section)
    if named:
        return key in [name for name, _, _ in SECTION_KEYS[named[1]]]
    return section == "plans" or any((section, key) == names[:2]
                                     for names in KEYS)


def read_value(parser, path, section, key, read, default):
    try:
        return read(parser.get(section, key, fallback=default))
    except ValueError as error:
        raise ConfigError("%s: [%s] %s: %s" % (
            path, section, key, visible(str(error)))) from None


def check_listen(values, path):
    """What others can reach is spoken to by TLS alone."""
    listen = values["listen"]
    if bool(values["certificate"]) != bool(values["key"]):
        raise ConfigError("%s: [webhook] certificate and key: one without "
                          "the other" % path)
    if not values["certificate"] and not isinstance(listen, str) and (
            not ipaddress.ip_address(listen[0]).is_loopback):
        raise ConfigError("%s: [webhook] listen: not a loopback address, "
                          "and no certificate" % path)


def check_prefixes(conf, path):
    """A customer must not choose a name that makes it another server's. Who
    shares a prefix, or has none, shares accounts."""
    prefixes = sorted({server.account_prefix
                       for server in conf.servers.values()} - {""})
    for one, other in zip(prefixes, prefixes[1:]):
        if other.startswith(one):
            raise ConfigError("%s: account_prefix: %s begins with %s, of "
                              "another server" % (path, other, one))


def read_sections(parser, path, kind):
    sections = {}
    for section in parser.sections():
        match = SECTION.fullmatch(section)
        if match and match[1] == kind:
            sections[match[2]] = Section(match[2], {
                key: read_value(parser, path, section, key, read,
                                default_of(default))
                for key, read, default in SECTION_KEYS[kind]})
    return sections


def read_plans(parser):
    return dict(parser["plans"]) if parser.has_section("plans") else {}


def read_secrets(conf):
    """The secrets of each server. Where all have names, there need not be one
    without."""
    secrets = {}
    for name, server in conf.servers.items():
        if name or len(conf.servers) == 1 or os.path.exists(
                server.secret_file):
            secrets[name] = read_secret_file(server.secret_file)
    return secrets


def read_secret_file(path):
    """Every line of the file is a secret: two while one replaces the other."""
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o007:
                raise ConfigError("%s: everybody may read it" % path)
            lines = file.read(65536).split(b"\n")
    except OSError as error:
        raise ConfigError("%s: %s" % (path, error.strerror)) from None
    secrets = [line.strip() for line in lines if line.strip()]
    if not secrets:
        raise ConfigError("%s: there is no secret in it" % path)
    if min(map(len, secrets)) < 32:
        raise ConfigError("%s: a secret has fewer than 32 characters" % path)
    return secrets
