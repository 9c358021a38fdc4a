# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""report.cgi behind the web servers that there are samples for."""

import itertools
import json
import random
from pathlib import Path
from urllib.parse import quote

import pytest

from places import PATIENCE
from redisserver import wait_until
from reportsite import BAD_ID, FIELDS, ID
from webservers import crowd, fetch

REPORT = "/report?id=%s&auth=alice" % ID
SOURCES = ("127.1.%d.%d" % (n >> 8, n & 255) for n in itertools.count(1))
HOSTILE = 150


def get(target, **options):
    """By a client that no limit knows yet."""
    return fetch(target, source=next(SOURCES), **options)


def test_a_report(server):
    response = get(REPORT)
    assert response.status == 200
    assert FIELDS["source"] in response.text
    assert "<script" not in response.text


def test_its_header_goes_through(server):
    for target in (REPORT, "/report?id=1&auth=alice"):
        header = get(target).headers
        assert "default-src 'none'" in header["Content-Security-Policy"]
        assert header["X-Content-Type-Options"] == "nosniff"
        assert header["Referrer-Policy"] == "no-referrer"
        assert header["Cache-Control"] == "no-store"
        assert header["X-Robots-Tag"] == "noindex"
        assert header.get_all("Content-Type") == ["text/html; charset=utf-8"]


def test_its_statuses_go_through(server):
    assert get("/report").status == 404
    assert "no report at this address" in get("/report?id=1").text
    response = get(REPORT, method="POST", **{"Content-Length": "0"})
    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD"
    response = get(REPORT, method="HEAD")
    assert response.status == 200 and response.text == ""


def test_json(server):
    response = get(REPORT, Accept="application/json")
    assert json.loads(response.text)["from"] == FIELDS["from"]


OTHERS = ("/", "/index.html", "/report/", "/report/x", "/reports",
          "/report.cgi", "/cgi-bin/report.cgi", "/report%00", "/report%2f",
          "/report/../../../etc/passwd", "/report%2f..%2f..%2fetc%2fpasswd",
          "/..%2f..%2fetc%2fsmtpusers-report.secret", "/.report")


@pytest.mark.parametrize("target", OTHERS)
def test_it_serves_nothing_else(server, target):
    assert get(target).status in (400, 403, 404)


def test_its_log_is_no_list_of_addresses(server):
    assert get(REPORT).status == 200
    text = Path(server.log).read_text()
    assert "/report" in text
    assert ID not in text and "alice" not in text


def test_a_client_in_a_hurry(server):
    """Its requests are refused until it has slowed down, nobody else's are."""
    source = next(SOURCES)
    refused = set(crowd(REPORT, source, 40)) - {200}
    assert refused and refused <= {0, 403, 429, 503}
    assert get(REPORT).status == 200
    wait_until(lambda: fetch(REPORT, source).status == 200, PATIENCE,
               "the client to be let in again")


PIECES = ("id=", "auth=", "&", "=", ID, "alice", "%", "%00", "%0d%0aX:%20y",
          "%3Cscript%3E", "%E2%80%AE", "%ff", "+", "?", ";", "../", "{}", "*",
          "%s%n", "$(id)", "'", "\"", "A" * 2000)


def test_hostile_queries(server):
    """The web server may refuse them itself; nothing ends badly."""
    some = random.Random(1)
    for _ in range(HOSTILE):
        query = "".join(some.choices(PIECES, k=some.randint(1, 8)))
        response = get("/report?" + quote(query, safe="&=%+?;*'$(){}/"))
        assert response.status in (400, 403, 404, 414), query
        assert "<script" not in response.text
        assert "X" not in response.headers


def test_a_report_that_cannot_be_read(server):
    response = get("/report?id=%s&auth=alice" % BAD_ID)
    assert response.status == 503
    assert response.headers["Retry-After"] == "60"
