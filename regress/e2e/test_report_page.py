# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""report.cgi, as a web server runs it."""

import ast
import configparser
import gettext
import json
import os
import re
import subprocess
import time
from html.parser import HTMLParser

import pytest

from places import PATIENCE, SOURCE, configuration, program, workdir
from reports import PASSWORD, blocked, from_header, report_id, try_message
from session import Session

ID = "123456789012345678"
FIELDS = {"reason": "domain-not-assigned", "time": "2026-11-26T08:00:00Z",
          "relay": "mx.test", "user": "alice", "account": "acme",
          "domain": "bank.test", "spf": "", "envelope_sender": "a@bank.test",
          "from": "Alice <a@bank.test>", "source": "192.0.2.1",
          "message_id": "<1@bank.test>", "msgid": "0badcafe"}
STRANGE = "<script>alert(1)</script>\"'&\u202e\x01"


class Page(HTMLParser):
    """The text of a page, and its tags."""

    def __init__(self, body):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(body)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


class Response:
    def __init__(self, output):
        head, _, self.body = output.decode().partition("\n\n")
        self.header = dict(line.split(": ", 1) for line in head.split("\n"))
        self.status = int(self.header["Status"].split()[0])


class Cgi:
    def __init__(self, redis, cgi=program("report.cgi"), **keys):
        self.program = cgi
        self.conf = workdir("report") / "smtpusers.conf"
        self.conf.write_text(configuration(redis=redis.url, **keys))

    def point_to(self, redis, **keys):
        """At another Redis than the one it is made with."""
        self.conf.write_text(configuration(redis=redis, **keys))

    def run(self, query="id=%s&auth=alice" % ID, method="GET", **environ):
        done = subprocess.run(
            [self.program], stdin=subprocess.DEVNULL,
            capture_output=True, timeout=PATIENCE,
            env={"SMTPUSERS_CONF": str(self.conf), "QUERY_STRING": query,
                 "REQUEST_METHOD": method, "PATH": os.environ["PATH"],
                 **environ})
        assert done.returncode == 0
        self.errors = done.stderr.decode()
        return Response(done.stdout)


@pytest.fixture
def cgi(redis):
    return Cgi(redis)


def store(redis, ident=ID, **fields):
    words = [word for pair in {**FIELDS, **fields}.items() for word in pair]
    redis.cli("HSET", "smtp:report:{%s}" % ident, *words)


def test_a_report(cgi, redis):
    store(redis)
    response = cgi.run()
    assert response.status == 200 and cgi.errors == ""
    assert response.header["Content-Type"] == "text/html; charset=utf-8"
    page = Page(response.body)
    for value in filter(None, FIELDS.values()):
        assert value in page.text
    assert "tried to send as bank.test, which is not among" in page.text
    assert re.search(r"What happened\s.*Why\s.*What to do\s.*Details",
                     page.text, re.DOTALL)
    assert "SPF record" not in page.text
    assert ("html", {"lang": "en"}) in page.tags
    assert [tag for tag, _ in page.tags].count("h1") == 1


def test_the_page_of_a_message_that_was_blocked(new_relay, redis, users):
    relay = new_relay()
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        session.plain("alice", PASSWORD)
        _, reply = try_message(session, "alice@example.org",
                               from_header("eve@bank.test"))
    response = Cgi(redis).run("id=%s&auth=alice" % report_id(reply, "alice"))
    assert response.status == 200
    assert "eve@bank.test" in Page(response.body).text
    assert blocked(redis, reply)["reason"] in response.body


def test_json(cgi, redis):
    store(redis, **{"from": STRANGE})
    response = cgi.run(HTTP_ACCEPT="application/json")
    assert response.status == 200
    assert response.header["Content-Type"].startswith("application/json")
    found = json.loads(response.body)
    assert found["id"] == ID and found["from"] == STRANGE
    assert {name: found[name] for name in FIELDS} == {**FIELDS,
                                                     "from": STRANGE}
    assert "which is not among" in found["what"]
    assert json.loads(cgi.run("id=1", HTTP_ACCEPT="application/json").body)[
        "error"]


@pytest.mark.parametrize("field", FIELDS)
def test_what_strangers_write_is_text(cgi, redis, field):
    store(redis, **{field: "alice" if field == "user" else STRANGE})
    response = cgi.run()
    assert response.status == 200
    page = Page(response.body)
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert "<script" not in response.body and "\u202e" not in response.body
    if field != "user":
        assert "<script>alert(1)</script>\"'&\\u{202e}\\u{0001}" in page.text


def test_the_browser_is_told_to_trust_nothing(cgi, redis):
    store(redis)
    header = cgi.run().header
    policy = header["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script" not in policy
    assert re.search(r"style-src 'sha256-[A-Za-z0-9+/]{43}='", policy)
    assert header["X-Content-Type-Options"] == "nosniff"
    assert header["Referrer-Policy"] == "no-referrer"
    assert header["Cache-Control"] == "no-store"


WRONG = ("", "id=%s" % ID, "auth=alice", "id=%s&auth=bob" % ID,
         "id=123456789012345679&auth=alice", "id=1&auth=alice",
         "id=%s%%00&auth=alice" % ID, "id=%s&auth=%%" % ID,
         "id=*&auth=alice", "id=%s&auth=" % ID, "&" * 2000, "=" * 2000,
         "id=" + "9" * 100000)


@pytest.mark.parametrize("query", WRONG, ids=range(len(WRONG)))
def test_what_is_not_the_address_of_a_report(cgi, redis, query):
    store(redis)
    response, other = cgi.run(query), cgi.run("id=%s&auth=eve" % ID)
    assert response.status == 404
    assert (response.header, response.body) == (other.header, other.body)


def test_a_report_of_nobody_is_nobodys(cgi, redis):
    store(redis, user="")
    assert cgi.run("id=%s&auth=" % ID).status == 404
    redis.cli("HDEL", "smtp:report:{%s}" % ID, "user")
    assert cgi.run().status == 404


def test_a_name_with_a_plus_sign(cgi, redis):
    store(redis, user="bob+news")
    assert cgi.run("id=%s&auth=bob%%2Bnews" % ID).status == 200


def test_other_methods(cgi, redis):
    store(redis)
    for method in ("POST", "PUT", "OPTIONS", "get", ""):
        response = cgi.run(method=method)
        assert response.status == 405
        assert response.header["Allow"] == "GET, HEAD"
    response = cgi.run(method="HEAD")
    assert response.status == 200 and response.body == ""


def test_a_wrong_name_takes_as_long_as_a_wrong_number(cgi, redis):
    """Both ask Redis; the shortest of runs side by side, far apart only if one
    of them asks for nothing."""
    store(redis)
    times = {"id=%s&auth=bob" % ID: [], "id=9%s&auth=bob" % ID[1:]: []}
    for _ in range(9):
        for query, some in times.items():
            before = time.monotonic()
            assert cgi.run(query).status == 404
            some.append(time.monotonic() - before)
    first, second = map(min, times.values())
    assert max(first, second) < 3 * min(first, second)
    assert redis.cli("INFO", "commandstats").count("cmdstat_hmget") == 1


def test_without_a_redis(redis):
    cgi = Cgi(redis, redis_timeout=300)
    redis.kill()
    response = cgi.run()
    assert response.status == 503 and response.header["Retry-After"] == "60"
    assert "redis" in cgi.errors


def test_a_redis_that_hangs(redis):
    cgi = Cgi(redis, redis_timeout=300)
    redis.pause()
    try:
        assert cgi.run().status == 503
    finally:
        redis.resume()


def test_a_bad_record(cgi, redis):
    redis.cli("SET", "smtp:report:{%s}" % ID, "x")
    assert cgi.run().status == 503
    assert "report %s: WRONGTYPE" % ID in cgi.errors


def test_a_bad_configuration(redis):
    cgi = Cgi(redis)
    cgi.conf.write_text("redis = 'tcp:'\n")
    response = cgi.run()
    assert response.status == 500 and "smtpusers.conf:1:" in cgi.errors
    assert "tcp:" not in response.body


def test_it_is_the_operators_page(redis):
    store(redis)
    cgi = Cgi(redis, report_title="Bücher & <Co>",
              report_logo="https://cdn.test/logo.svg?a=1&b=2",
              report_contact="Call us")
    page = Page(cgi.run().body)
    assert "Bücher & <Co>" in page.text and "Call us" in page.text
    assert ("img", {"src": "https://cdn.test/logo.svg?a=1&b=2",
                    "alt": ""}) in page.tags


def test_its_redis_user_reads_reports_and_nothing_else(redis):
    """The line of the manual page."""
    secret = workdir("secret") / "password"
    secret.write_text("Sesame\n")
    secret.chmod(0o600)
    redis.cli("ACL", "SETUSER", "report", "reset", "on", ">Sesame",
              "%R~smtp:report:*", "-@all", "+ping", "+hmget")
    try:
        cgi = Cgi(redis, redis_user="report", redis_password_file=secret)
        store(redis)
        assert cgi.run().status == 200
        assert cgi.errors == ""
    finally:
        redis.cli("ACL", "DELUSER", "report")


PARTS = ("what", "why", "fix")
REASONS = configparser.ConfigParser(interpolation=None)
REASONS.read(SOURCE / "scripts/reasons.ini", encoding="utf-8")


def own_words():
    """What the page itself says: what the sources mark."""
    source = "".join(path.read_text() for path in SOURCE.glob("web/*.c"))
    return {ast.literal_eval("(%s)" % text) for text in re.findall(
        r'\bN_\(((?:\s*"(?:[^"\\]|\\.)*")+)\)', source)}


def words_of_reasons():
    return {" ".join(REASONS[reason][part].split("\n"))
            for reason in REASONS.sections() for part in PARTS}


def catalogue():
    """As gettext reads the German one, complete or not at all."""
    compiled = workdir("catalogue") / "de.mo"
    subprocess.run(["msgfmt", "--check", "-o", compiled,
                    SOURCE / "web/po/de.po"], check=True)
    with compiled.open("rb") as file:
        texts = dict(gettext.GNUTranslations(file)._catalog)
    texts.pop("")
    return texts


def fields_in(text):
    return set(re.findall(r"\{\w+\}", text))


def test_each_text_is_there_in_german_and_nothing_else():
    texts = catalogue()
    assert len(own_words()) > 20 and len(words_of_reasons()) > 100
    assert set(texts) == own_words() | words_of_reasons()
    for english, german in texts.items():
        assert german and fields_in(german) == fields_in(english), english
    file = (SOURCE / "web/po/de.po").read_text()
    assert "#~" not in file and "fuzzy" not in file
    assert set(re.findall(r"\\.", file.split("\n\n", 1)[1])) <= {
        '\\"', "\\\\"}


@pytest.mark.parametrize("reason", REASONS.sections())
def test_each_reason_in_german(cgi, redis, reason):
    store(redis, reason=reason, spf="")
    response = cgi.run(HTTP_ACCEPT_LANGUAGE="de-DE,de;q=0.9,en;q=0.8")
    assert response.status == 200 and cgi.errors == ""
    assert response.header["Content-Language"] == "de"
    assert response.header["Vary"] == "Accept, Accept-Language"
    page = Page(response.body)
    assert ("html", {"lang": "de"}) in page.tags
    assert re.search(r"Was geschehen ist\s.*Warum\s.*Was zu tun ist\s.*"
                     r"Einzelheiten\s.*Umschlagabsender", page.text, re.DOTALL)
    texts = catalogue()
    for part in PARTS:
        german = texts[" ".join(REASONS[reason][part].split("\n"))]
        for field in fields_in(german):
            german = german.replace(field, FIELDS[field[1:-1]] or
                                    "(keine Angabe)")
        assert german in page.text


ENGLISH = (None, "", "en", "fr", "de;q=0", "*", "en-GB, de;q=0.9", "de;q=2",
           "*;q=0", "," * 8192, "x" * 8192, "de" * 4096, "de;q=0." * 1024,
           "\x80\xff\x01", "en<script>", "../../de")


@pytest.mark.parametrize("header", ENGLISH, ids=range(len(ENGLISH)))
def test_english_for_all_others(cgi, redis, header):
    store(redis)
    environ = {} if header is None else {"HTTP_ACCEPT_LANGUAGE": header}
    response = cgi.run(**environ)
    assert response.status == 200 and cgi.errors == ""
    assert response.header["Content-Language"] == "en"
    assert ("html", {"lang": "en"}) in Page(response.body).tags
    assert "What happened" in response.body


@pytest.mark.parametrize("header", ("de", "DE-at", "en;q=0, *", "fr, de;q=0.1",
                                    "fr;q=0.9," * 8192 + "de;q=0.001"),
                         ids=range(5))
def test_german_for_who_prefers_it(cgi, redis, header):
    store(redis)
    response = cgi.run(HTTP_ACCEPT_LANGUAGE=header)
    assert response.header["Content-Language"] == "de"
    assert "Nachricht abgelehnt" in response.body


def test_errors_in_german(cgi, redis):
    german = {"HTTP_ACCEPT_LANGUAGE": "de"}
    assert "Bericht nicht gefunden" in cgi.run("id=1", **german).body
    assert "Nicht erlaubt" in cgi.run(method="POST", **german).body
    redis.cli("SET", "smtp:report:{%s}" % ID, "x")
    assert "Versuchen Sie es in einer Minute" in cgi.run(**german).body
    cgi.conf.write_text("redis = 'tcp:'\n")
    response = cgi.run(**german)
    assert response.status == 500 and "Nicht eingerichtet" in response.body


def test_what_strangers_write_is_text_in_german(cgi, redis):
    store(redis, **{name: STRANGE for name in FIELDS
                    if name not in ("user", "reason")})
    response = cgi.run(HTTP_ACCEPT_LANGUAGE="de")
    assert "<script" not in response.body and "\u202e" not in response.body


def test_json_is_in_english(cgi, redis):
    store(redis)
    english = cgi.run(HTTP_ACCEPT="application/json")
    response = cgi.run(HTTP_ACCEPT="application/json",
                       HTTP_ACCEPT_LANGUAGE="de")
    assert (response.header, response.body) == (english.header, english.body)
    assert response.header["Content-Language"] == "en"
