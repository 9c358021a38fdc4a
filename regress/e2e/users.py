# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Users written straight into Redis, as a panel would."""

import ctypes

LIBCRYPT = ctypes.CDLL("libcrypt.so.1")
LIBCRYPT.crypt.restype = ctypes.c_char_p
LIBCRYPT.crypt_gensalt.restype = ctypes.c_char_p

# The least work each scheme allows: the tests are about answers.
COST = {"$2b$": 4, "$6$": 1000, "$5$": 1000, "$y$": 1, "$gy$": 1, "$1$": 0,
        "$7$": 6}
# What the command makes.
MADE = ("$y$", 3)


def crypt(password, scheme="$6$", cost=None):
    """crypt(3) with a fresh salt."""
    if cost is None:
        cost = COST[scheme]
    setting = LIBCRYPT.crypt_gensalt(
        scheme.encode(), ctypes.c_ulong(cost), None, 0)
    secret = password if isinstance(password, bytes) else password.encode()
    hashed = LIBCRYPT.crypt(secret, setting)
    assert hashed and not hashed.startswith(b"*"), scheme
    return hashed.decode()


class Users:
    """The panel's side of a Redis: what it writes, it writes by hand."""

    def __init__(self, redis, prefix="smtp:"):
        self.redis = redis
        self.prefix = prefix
        self.secrets = set()

    def key(self, name, *rest):
        return self.prefix + ":".join(("user:{%s}" % name,) + rest)

    def add(self, name="alice", password="Open-Sesame1", scheme="$6$",
            ips=(), domains=("example.org",), **fields):
        """A user; an account that is named and not there is made first."""
        account = fields.get("account")
        if account and not self.redis.cli(
                "EXISTS", self.prefix + "account:{%s}" % account):
            self.account(account)
        self.password(name, password, scheme)
        self.set(name, **{"status": "allowed", "mode": "default", **fields})
        self.ips(name, *ips)
        self.domains(name, *domains)
        return name

    def password(self, name, password, scheme="$6$"):
        self.secret(password)
        self.set(name, password=crypt(password, scheme))

    def secret(self, password):
        data = password if isinstance(password, bytes) else password.encode()
        if len(data) > 5:
            self.secrets |= {data, data.lower()}

    def set(self, name, **fields):
        words = [word for pair in fields.items() for word in pair]
        self.redis.cli("HSET", self.key(name), *words)

    def ips(self, name, *entries):
        """The list of sources becomes exactly these."""
        self.members(self.key(name, "ips"), entries)

    def domains(self, name, *entries):
        """The assigned domains become exactly these."""
        self.members(self.key(name, "domains"), entries)

    def members(self, key, entries):
        self.redis.cli("DEL", key)
        if entries:
            self.redis.cli("SADD", key, *entries)

    def account(self, name, *domains, **fields):
        """An account, of no plan unless told, and its domains."""
        key = self.prefix + "account:{%s}" % name
        self.redis.cli("HSET", key, "status", "allowed",
                       *(word for pair in fields.items() for word in pair))
        self.members(key + ":domains", domains)
        return name

    def ip_auth(self, name, address):
        """Both sides of IP authentication."""
        self.redis.cli("SET", self.prefix + "ip:{%s}" % address, name)
        self.set(name, ip_auth=address)

    def block(self, name):
        self.set(name, status="blocked")

    def delete(self, name):
        for key in self.redis.cli("KEYS", self.key(name) + "*"):
            self.redis.cli("DEL", key)
