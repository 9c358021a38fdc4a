# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The configuration of the hooks: see smtpusers-hooks(8)."""

import configparser
import ipaddress
import os
import re

from .text import visible

PREFIX = re.compile(r"(?:[a-z0-9][a-z0-9._+-]{0,31})?")

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


def listen_of(text):
    """A path, or an address and port that only this host can reach: what
    comes from elsewhere comes through a proxy that speaks TLS."""
    if text.startswith("unix:"):
        return path_of(text[len("unix:"):])
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    address = ipaddress.ip_address(host)
    if not address.is_loopback:
        raise ValueError("not a loopback address")
    return str(address), number_of(0, 65535)(port)


# Section, key, what reads it, default.
KEYS = (
    ("hooks", "spool", path_of, "/var/spool/smtpusers-hooks"),
    ("hooks", "smtpusers", path_of, "@SBINDIR@/smtpusers"),
    ("hooks", "config", path_of, "@SYSCONFDIR@/smtpusers.conf"),
    ("hooks", "account_prefix", prefix_of, ""),
    ("hooks", "deleted_users", choice_of("block", "keep"), "block"),
    ("hooks", "subdomains", choice_of("yes", "no"), "yes"),
    ("hooks", "wait", number_of(0, 60), "5"),
    ("hooks", "timeout", number_of(1, 600), "60"),
    ("hooks", "cpanel_users", path_of, "/var/cpanel/users"),
    ("webhook", "listen", listen_of, "127.0.0.1:8025"),
    ("webhook", "path", path_of, "/event"),
    ("webhook", "secret_file", path_of,
     "@SYSCONFDIR@/smtpusers-hooks.secret"),
    ("webhook", "window", number_of(1, 3600), "300"),
    ("webhook", "max_body", number_of(256, 1 << 20), "65536"),
    ("webhook", "connections", number_of(1, 1024), "256"),
    ("webhook", "deadline", number_of(1, 300), "30"),
    ("webhook", "remember", number_of(1, 3650), "30"),
)

# What make install has put in place of these names, where it has not.
PLACES = {"SBINDIR": "/usr/local/sbin", "SYSCONFDIR": "/etc"}


class Config:
    """Each key as an attribute; plans maps the panel's packages."""

    def __init__(self, values, plans):
        self.__dict__.update(values)
        self.plans = plans

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
    return Config(read_values(parser, path), read_plans(parser))


def read_values(parser, path):
    known = {(section, key) for section, key, _, _ in KEYS}
    for section in parser.sections():
        for key in parser[section]:
            if section != "plans" and (section, key) not in known:
                raise ConfigError("%s: [%s] %s: unknown" % (
                    path, visible(section), visible(key)))
    values = {}
    for section, key, read, default in KEYS:
        text = parser.get(section, key, fallback=default_of(default))
        try:
            values[key] = read(text)
        except ValueError as error:
            raise ConfigError("%s: [%s] %s: %s" % (
                path, section, key, visible(str(error)))) from None
    return values


def read_plans(parser):
    return dict(parser["plans"]) if parser.has_section("plans") else {}


def read_secrets(path):
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
