# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Users written straight into Redis, as a panel would."""
"""Users who may send as any domain that has published SPF."""

import re

import pytest

from nameserver import NameServer, strings
from places import REPORT_URL, configuration, workdir
from redisserver import wait_until
from relay import Relay
from reports import entries
from session import Session, simple

OK = "235 2.0.0 Authentication succeeded"
PASSWORD = "Open-Sesame1"
BLOCKED = re.compile(r"550 5\.7\.1 \[ACL\] Blocked\. See %s\?id=([0-9]{18})"
                     r"&auth=alice" % re.escape(REPORT_URL))
UNKNOWN = "451 4.4.3 SPF could not be looked up, try again later"

RELAYS = ["192.0.2.25", "2001:db8:25::25"]
BOTH = "ip4:192.0.2.0/24 ip6:2001:db8:25::/64"
MODES = {
    "off": {},
    "published": {},
    "include": {"spf_include": ["_spf.provider.test", "XN--Bcher-KVA.test"]},
    "pass": {"spf_relays": RELAYS}}

NIBBLES = ".".join("20010db8002500000000000000000025")

# A domain's records and what becomes of it: published, include, pass; the
# reason of the report, "" where the message goes through.
GOOD, INCLUDE, FAIL = "", "spf-include", "spf-fail"
NONE, SEVERAL, SYNTAX = "spf-none", "spf-multiple", "spf-syntax"
CASES = {
    "one": (["v=spf1 ip4:192.0.2.25 -all"], GOOD, INCLUDE, FAIL),
    "both": (["v=spf1 %s -all" % BOTH], GOOD, INCLUDE, GOOD),
    "v6only": (["v=spf1 ip6:2001:db8:25::25 -all"], GOOD, INCLUDE, FAIL),
    "softly": (["v=spf1 ip4:192.0.2.25 ~all"], GOOD, INCLUDE, FAIL),
    "neutral": (["v=spf1 %s" % BOTH.replace("ip6", "?ip6")],
                GOOD, INCLUDE, FAIL),
    "plus-all": (["v=spf1 +all"], GOOD, INCLUDE, GOOD),
    "empty": (["v=spf1"], GOOD, INCLUDE, FAIL),
    "spaces": (["v=spf1  %s   -all  " % BOTH], GOOD, INCLUDE, GOOD),
    "upper": (["V=SPF1 %s -ALL" % BOTH.upper()], GOOD, INCLUDE, GOOD),
    "beside-others": (["google-site-verification=x", "spf2.0/pra -all",
                       "v=spf1 %s -all" % BOTH, "", "v=DKIM1; p="],
                      GOOD, INCLUDE, GOOD),
    "modifier": (["v=spf1 moo=cow %s exp=why.test -all" % BOTH],
                 GOOD, INCLUDE, GOOD),
    "addresses": (["v=spf1 a mx -all"], GOOD, INCLUDE, GOOD),
    "exchangers": (["v=spf1 mx:addresses.test -all"], GOOD, INCLUDE, GOOD),

    "none": ([], NONE, NONE, NONE),
    "other-text": (["hello", "v=spf10 -all", " v=spf1 -all", "v=spf1-all"],
                   NONE, NONE, NONE),
    "two": (["v=spf1 -all", "v=spf1 +all"], SEVERAL, SEVERAL, SEVERAL),
    "three": (["v=spf1 -all", "v=spf1", "V=SPF1 %s" % BOTH],
              SEVERAL, SEVERAL, SEVERAL),
    "two-one-flawed": (["v=spf1 -all", "v=spf1 gibberish"],
                       SEVERAL, SEVERAL, SEVERAL),

    "bad-address": (["v=spf1 ip4:192.0.2.300 -all"], SYNTAX, SYNTAX, SYNTAX),
    "bad-prefix": (["v=spf1 ip4:192.0.2.0/33 -all"], SYNTAX, SYNTAX, SYNTAX),
    "bad-word": (["v=spf1 gibberish -all"], SYNTAX, SYNTAX, SYNTAX),
    "bad-after": (["v=spf1 +all gibberish"], SYNTAX, SYNTAX, SYNTAX),
    "bad-include": (["v=spf1 include: -all"], SYNTAX, SYNTAX, SYNTAX),
    "bad-all": (["v=spf1 -all:domain"], SYNTAX, SYNTAX, SYNTAX),
    "bad-macro": (["v=spf1 exists:%{x}.test -all"], SYNTAX, SYNTAX, SYNTAX),
    "bad-redirects": (["v=spf1 redirect=both.test redirect=one.test"],
                      SYNTAX, SYNTAX, SYNTAX),
    "bad-qualifier": (["v=spf1 *all"], SYNTAX, SYNTAX, SYNTAX),

    "included": (["v=spf1 include:_spf.provider.test -all"],
                 GOOD, GOOD, GOOD),
    "included-upper": (["v=spf1 +INCLUDE:_SPF.Provider.TEST -all"],
                       GOOD, GOOD, GOOD),
    "included-dot": (["v=spf1 include:_spf.provider.test. -all"],
                     GOOD, GOOD, GOOD),
    "included-idn": (["v=spf1 include:xn--bcher-kva.test -all"],
                     GOOD, GOOD, GOOD),
    "included-never": (["v=spf1 -include:_spf.provider.test +all"],
                       GOOD, INCLUDE, FAIL),
    "included-softly": (["v=spf1 ~include:_spf.provider.test +all"],
                        GOOD, INCLUDE, FAIL),
    "included-alike": (["v=spf1 include:spf.provider.test "
                        "include:_spf.provider.test.both.test "
                        "a:_spf.provider.test -all"], GOOD, INCLUDE, FAIL),
    "included-late": (["v=spf1 -all include:_spf.provider.test"],
                      GOOD, INCLUDE, FAIL),
    "nested": (["v=spf1 include:nested-1.test -all"], GOOD, GOOD, GOOD),
    "nested-1": (["v=spf1 ip4:198.51.100.1 include:nested-2.test ~all"],
                 GOOD, GOOD, GOOD),
    "nested-2": (["v=spf1 redirect=included.test"], GOOD, GOOD, GOOD),
    "nested-beyond-flaw": (["v=spf1 include:bad-word.test "
                            "include:nested.test -all"], GOOD, GOOD, FAIL),
    "nested-beyond-none": (["v=spf1 include:nowhere.test "
                            "include:nested.test -all"], GOOD, GOOD, FAIL),
    "loop": (["v=spf1 include:loop-back.test -all"], GOOD, INCLUDE, FAIL),
    "loop-back": (["v=spf1 include:loop.test -all"], GOOD, INCLUDE, FAIL),
    "loop-self": (["v=spf1 include:loop-self.test -all"],
                  GOOD, INCLUDE, FAIL),
    "loop-redirect": (["v=spf1 redirect=loop-redirect.test"],
                      GOOD, INCLUDE, FAIL),
    "loop-beside": (["v=spf1 include:loop-beside.test "
                     "include:_spf.provider.test -all"], GOOD, GOOD, FAIL),
    "redirect": (["v=spf1 redirect=_spf.provider.test"], GOOD, GOOD, GOOD),
    "redirect-nowhere": (["v=spf1 redirect=nowhere.test"],
                         GOOD, INCLUDE, FAIL),
    "redirect-idle": (["v=spf1 redirect=_spf.provider.test -all"],
                      GOOD, INCLUDE, FAIL),
    "many": (["v=spf1 " + " ".join("a:h%d.test" % n for n in range(11))
              + " %s -all" % BOTH], GOOD, INCLUDE, FAIL),

    "macro": (["v=spf1 exists:%{i}._ip.%{d} -all"], GOOD, INCLUDE, GOOD),
    "macro-include": (["v=spf1 include:_spf.%{d2} -all"],
                      GOOD, INCLUDE, GOOD),
    "macro-escapes": (["v=spf1 exists:%%.%_.%-.test " + BOTH],
                      GOOD, INCLUDE, GOOD),

    "split": (None, GOOD, GOOD, GOOD),
    "split-start": (None, GOOD, INCLUDE, GOOD),
    "cname": (None, GOOD, GOOD, GOOD),
    "cname-cname": (None, GOOD, GOOD, GOOD),
    "cname-none": (None, NONE, NONE, NONE),
    "cname-nowhere": (None, NONE, NONE, NONE),
    "nowhere": (None, NONE, NONE, NONE),
    "xn--bcher-kva": (["v=spf1 %s -all" % BOTH], GOOD, INCLUDE, GOOD),
    "xn--fiqs8s": (["v=spf1 include:xn--bcher-kva.test -all"],
                   GOOD, GOOD, GOOD),
    "over-udp": (["v=spf1 %s include:_spf.provider.test %s -all" % (
        " ".join("ip4:198.51.100.%d" % n for n in range(60)), BOTH)],
                 GOOD, GOOD, GOOD),
    "over-udp-beside": (["x" * 255 * 3] * 1 + ["y" * 255 * 3] + [
        "v=spf1 include:_spf.provider.test -all"], GOOD, GOOD, GOOD),
    "two-over-udp": (["v=spf1 %s -all" % " ".join(
        "ip4:198.51.%d.0/24" % n for n in range(first, first + 30))
        for first in (0, 100)], SEVERAL, SEVERAL, SEVERAL),
    "include-over-udp": (["v=spf1 include:over-udp.test -all"],
                         GOOD, GOOD, GOOD),
    "longest": (["v=spf1 %s include:_spf.provider.test -all" % " ".join(
        "ip4:10.%d.0.0/16" % n for n in range(200))], GOOD, GOOD, GOOD),
}

# Where libspf2 1.2.10 goes its own ways: it keeps 512 bytes of a compiled
# record, takes a letter from %{d2} of two labels, follows redirect= where it
# stands, counts the lookups of each record on its own, and finds nothing
# amiss with empty names and second redirects.
LIBSPF2 = {
    ("pass", "longest"): FAIL,
    ("pass", "macro-include"): FAIL,
    ("pass", "redirect-idle"): GOOD,
    ("pass", "deep-10-0"): GOOD,
    ("published", "bad-include"): GOOD,
    ("include", "bad-include"): INCLUDE,
    ("pass", "bad-include"): FAIL,
    ("published", "bad-redirects"): GOOD,
    ("include", "bad-redirects"): INCLUDE,
    ("pass", "bad-redirects"): GOOD,
}

# Not whole words: libspf2 has to be asked what another server says.
TROUBLED = {
    "trouble-include": ("v=spf1 include:a.unloaded -all", GOOD, UNKNOWN,
                        UNKNOWN),
    "trouble-beside": ("v=spf1 include:a.unloaded "
                       "include:_spf.provider.test -all",
                       GOOD, GOOD, UNKNOWN),
    "trouble-redirect": ("v=spf1 redirect=a.unloaded", GOOD, UNKNOWN,
                         UNKNOWN),
}


def chain(length):
    """Records that name the provider after so many more lookups."""
    rows = {"deep-%d-%d" % (length, n): "v=spf1 include:deep-%d-%d.test -all"
            % (length, n + 1) for n in range(length)}
    rows["deep-%d-%d" % (length, length)] = \
        "v=spf1 include:_spf.provider.test -all"
    return rows


def zone():
    lines = ["_spf.provider IN TXT %s" % strings("v=spf1 %s -all" % BOTH),
             "spf.provider IN TXT %s" % strings("v=spf1 -all"),
             "none IN A 192.0.2.1",
             "addresses IN A 192.0.2.25", "addresses IN AAAA 2001:db8:25::25",
             "addresses IN MX 10 addresses",
             "192.0.2.25._ip.macro IN A 127.0.0.2",
             NIBBLES + "._ip.macro IN A 127.0.0.2",
             "_spf.macro-include IN TXT %s" % strings("v=spf1 %s" % BOTH),
             'split IN TXT "v=spf1 ip4:192.0." "2.0/24 ip6:2001:db8" '
             '":25::/64 inc" "lude:_spf.provid" "er.test -all"',
             'split-start IN TXT "v=" "" "spf" "1" " %s -all"' % BOTH,
             "cname IN CNAME included", "cname-cname IN CNAME cname",
             "cname-none IN CNAME none", "cname-nowhere IN CNAME nowhere"]
    for name, (records, *_) in CASES.items():
        lines += ["%s IN TXT %s" % (name, strings(record))
                  for record in records or ()]
    rows = {name: row[0] for name, row in TROUBLED.items()}
    for name, record in {**rows, **chain(9), **chain(10)}.items():
        lines.append("%s IN TXT %s" % (name, strings(record)))
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def names():
    with NameServer(workdir("nsd"), zone()) as server:
        yield server


@pytest.fixture(scope="module")
def relays(names, shared_redis, shared_sink, tls):
    """A relay for each mode, started when it is first wanted."""
    started = {}

    def get(mode, resolver=None):
        if mode not in started:
            conf = configuration(
                redis=shared_redis.url, report_url=REPORT_URL, spf=mode,
                spf_resolver=resolver or names.address, **MODES[mode])
            relay = Relay(workdir("relay"), *tls, shared_sink.port, conf)
            started[mode] = relay.start()
        return started[mode]

    yield get
    for relay in started.values():
        try:
            relay.check((PASSWORD.encode(),))
            # A worker may only end here by a fault of its own.
            assert "spf: a worker" not in relay.log(), relay.log_tail()
        finally:
            relay.stop()


@pytest.fixture
def alice(users, sink):
    """May send as any domain."""
    users.add("alice", PASSWORD)
    users.set("alice", mode="any", account="acme")
    users.redis.cli("HSET", "smtp:account:{acme}", "plan", "pro")
    return users


def report_of(users, reply):
    match = BLOCKED.fullmatch(reply)
    assert match, reply
    key = "smtp:report:{%s}" % match.group(1)
    flat = wait_until(lambda: users.redis.cli("HGETALL", key), 10,
                      "the report")
    return dict(zip(flat[::2], flat[1::2]))


def send_as(relay, sender, header=None):
    """The reply that refuses the message, or the last one."""
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        return session.message("x", sender,
                               content=simple("x", header or sender))


def kept_records(name):
    """The SPF records of a case, any of which may be in the report."""
    if name not in CASES:
        return None
    records = CASES[name][0]
    if records is None:
        return None
    return [record[:511] for record in records
            if re.match(r"v=spf1( |$)", record, re.IGNORECASE)] or [""]


def check(users, reply, name, reason):
    if reason in (GOOD, UNKNOWN):
        assert reply == UNKNOWN if reason else reply.startswith("250"), reply
        return
    report = report_of(users, reply)
    assert report["reason"] == reason
    assert report["domain"] == name + ".test"
    assert report["user"] == "alice"
    assert report["account"] == "acme"
    if kept := kept_records(name):
        assert report["spf"] in kept, report


def rows(mode):
    place = list(MODES).index(mode)
    found = {name: row[place] for name, row in CASES.items()}
    found.update({name: row[place] for name, row in TROUBLED.items()})
    found["deep-9-0"] = GOOD
    found["deep-10-0"] = (None, GOOD, INCLUDE, FAIL)[place]
    for name, reason in found.items():
        yield name, LIBSPF2.get((mode, name), reason)


@pytest.mark.parametrize("mode,name,reason", [
    (mode, name, reason) for mode in ("published", "include", "pass")
    for name, reason in rows(mode)])
def test_a_domain(relays, alice, mode, name, reason):
    relay = relays(mode)
    reply = send_as(relay, "a@%s.test" % name)
    check(alice, reply, name, reason)
    # Once more, from memory.
    if reason != UNKNOWN:
        assert send_as(relay, "a@%s.test" % name)[:3] == reply[:3]


@pytest.mark.parametrize("name", ["none", "two", "bad-word", "nowhere"])
def test_off(relays, alice, name):
    assert send_as(relays("off"), "a@%s.test" % name).startswith("250")
    assert send_as(relays("off"), "a@a.unloaded").startswith("250")


@pytest.mark.parametrize("mode", ["published", "include", "pass"])
def test_servfail(relays, alice, mode):
    for count in (1, 2):
        assert send_as(relays(mode), "a@b.unloaded") == UNKNOWN
        wait_until(lambda: told(alice, UNKNOWN) == count, 10, "the log")


def told(users, reply):
    """How often the user's log has the reply."""
    return [entry.get("reply") for entry in
            entries(users.redis, "alice")].count(reply)


def test_the_domain_of_either_sender(relays, alice):
    relay = relays("published")
    assert send_as(relay, "a@both.test", "a@one.test").startswith("250")
    reply = send_as(relay, "a@both.test", "a@none.test")
    check(alice, reply, "none", NONE)
    reply = send_as(relay, "a@two.test", "a@both.test")
    check(alice, reply, "two", SEVERAL)
    assert send_as(relay, "a@both.test", "a@c.unloaded") == UNKNOWN
    assert send_as(relay, "a@c.unloaded", "a@both.test") == UNKNOWN


def test_the_null_sender(relays, alice):
    relay = relays("published")
    assert send_as(relay, "", "a@both.test").startswith("250")
    check(alice, send_as(relay, "", "a@none.test"), "none", NONE)


def test_several_authors(relays, alice):
    relay = relays("published")
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        for authors, good in (("a@one.test, b@both.test", True),
                              ("a@one.test, b@none.test", False)):
            text = "From: %s\r\nSender: <a@one.test>\r\n\r\n" % authors
            reply = session.message(sender="a@both.test", content=text)
            if good:
                assert reply.startswith("250"), reply
            else:
                check(alice, reply, "none", NONE)


def test_case_and_labels(relays, alice):
    relay = relays("published")
    assert send_as(relay, "a@BOTH.Test").startswith("250")
    assert send_as(relay, "a@XN--BCHER-KVA.test",
                   "a@both.test").startswith("250")


@pytest.mark.parametrize("fields", [
    {"mode": "default"}, {"mode": "all"}, {"account": "small"}])
def test_spf_is_nothing_to_other_users(relays, alice, fields):
    alice.redis.cli("HSET", "smtp:account:{small}", "plan", "basic")
    alice.set("alice", **fields)
    reply = send_as(relays("published"), "a@both.test")
    reason = report_of(alice, reply)["reason"]
    assert reason in ("domain-not-assigned", "domain-not-in-account",
                      "plan-not-pro")


def test_own_domains_need_no_spf(relays, alice):
    relay = relays("published")
    alice.redis.cli("SADD", alice.key("alice", "domains"), "none.test")
    alice.redis.cli("SADD", "smtp:account:{acme}:domains", "two.test")
    assert send_as(relay, "a@none.test", "a@two.test").startswith("250")
    assert send_as(relay, "a@two.test", "a@both.test").startswith("250")


def test_the_plan_may_end_mid_session(relays, alice):
    with Session(relays("published")) as session:
        assert session.plain("alice", PASSWORD) == OK
        assert session.message("x", "a@both.test").startswith("250")
        assert session.mail("a@both.test").startswith("250")
        assert session.rcpt().startswith("250")
        alice.redis.cli("HSET", "smtp:account:{acme}", "plan", "basic")
        reply = session.data(simple("x", "a@both.test"))
        assert report_of(alice, reply)["reason"] == "plan-not-pro"


def test_a_resolver_by_ipv6(names, new_relay, alice):
    relay = new_relay(spf_resolver=names.address6)
    assert send_as(relay, "a@both.test").startswith("250")
    check(alice, send_as(relay, "a@none.test"), "none", NONE)
    check(alice, send_as(relay, "a@two-over-udp.test"), "two-over-udp",
          SEVERAL)


def test_a_provider_named_in_unicode(names, new_relay, alice):
    relay = new_relay(spf="include", spf_resolver=names.address,
                      spf_include=["BÜCHER.test"])
    assert send_as(relay, "a@included-idn.test").startswith("250")
    reply = send_as(relay, "a@included.test")
    assert report_of(alice, reply)["reason"] == INCLUDE
