# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Which Redis report.cgi asks itself, and for which it becomes
report-full.cgi; as it is installed too, where it is linked statically."""

import shutil

import pytest

from places import free_port, program, workdir
from redisserver import RedisServer
from relay import certificate
from test_report_page import FIELDS, ID, Cgi, Page, store
from topologies import Cluster, Sentinels

KINDS = ("san", "rel")


@pytest.fixture(scope="module")
def listening():
    """A Redis at a socket and at a port."""
    with RedisServer(workdir("redis"),
                     extra=("--port", free_port(), "--bind", "*",
                            "-::*")) as server:
        server.port = server.extra[1]
        store(server)
        yield server


@pytest.fixture(params=KINDS)
def lonely(request):
    """report.cgi without the other beside it."""
    return shutil.copy(program("report.cgi", request.param), workdir("cgi"))


def is_page(response, **fields):
    shown = Page(response.body).text
    return response.status == 200 and all(
        value in shown for value in {**FIELDS, **fields}.values())


NEAR = ("tcp:127.0.0.1:%s", "tcp:[::1]:%s", "tcp:[::ffff:127.0.0.1]:%s")


def test_it_asks_a_socket_itself(lonely, listening):
    cgi = Cgi(listening, lonely)
    assert is_page(cgi.run()) and cgi.errors == ""


@pytest.mark.parametrize("near", NEAR)
def test_it_asks_an_address_itself(lonely, listening, near):
    cgi = Cgi(listening, lonely)
    cgi.point_to(near % listening.port)
    assert is_page(cgi.run()) and cgi.errors == ""


FAR = ("tcp:localhost:%s", "tcp:[::1%%lo]:%s", "tls:127.0.0.1:%s",
       "sentinel:users@127.0.0.1:%s", "cluster:127.0.0.1:%s")


@pytest.mark.parametrize("far", FAR)
def test_for_all_else_it_needs_the_other(lonely, listening, far):
    """Without it nothing is asked, and nothing read."""
    cgi = Cgi(listening, lonely)
    cgi.point_to(far % listening.port)
    for query in ("id=%s&auth=alice" % ID, ""):
        response = cgi.run(query)
        assert response.status == 500
        assert "cannot run report-full.cgi" in cgi.errors
        assert "report-full" not in response.body


@pytest.mark.parametrize("kind", KINDS)
def test_a_host_by_its_name(listening, kind):
    cgi = Cgi(listening, program("report.cgi", kind))
    cgi.point_to("tcp:localhost:%s" % listening.port)
    assert is_page(cgi.run()) and cgi.errors == ""
    assert cgi.run("id=%s&auth=bob" % ID).status == 404
    assert cgi.run(method="POST").status == 405
    assert "\"error\"" in cgi.run("", HTTP_ACCEPT="application/json").body


@pytest.mark.parametrize("topology", (Sentinels, Cluster))
def test_by_tls(topology):
    tls = certificate(workdir("nodes"), "DNS:localhost")
    with topology(tls=tls) as servers:
        store(servers)
        for kind in KINDS:
            cgi = Cgi(servers, program("report.cgi", kind))
            cgi.point_to(servers.url.replace("127.0.0.1", "localhost"),
                         redis_ca=str(tls[0]))
            assert is_page(cgi.run()), cgi.errors


def test_it_starts_without_libraries(listening):
    """Were it linked as the other is, it would take twice the time."""
    for name, needs in (("report.cgi", False), ("report-full.cgi", True)):
        assert (b"libcrypto.so" in program(name, "rel").read_bytes()) == needs
