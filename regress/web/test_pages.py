# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The pages in a browser. The pictures stay in build/web, for those who want to
look at them."""

import json
from pathlib import Path

import pytest

from browser import Browser
from places import SOURCE, workdir
from reportsite import ID
from webservers import HOST

AXE = Path("/opt/web/node_modules/axe-core/axe.min.js")
PICTURES = SOURCE / "build" / "web"
PAGES = {"report": "/report?id=%s&auth=alice" % ID,
         "missing": "/report?id=1&auth=alice"}
SHAPES = {"phone": {"width": 390}, "desk": {"width": 1280},
          "phone-dark": {"width": 390, "dark": True},
          "desk-dark": {"width": 1280, "dark": True},
          "paper": {"width": 720, "media": "print"},
          "paper-dark": {"width": 720, "media": "print", "dark": True}}


@pytest.fixture(scope="module")
def browser(lighttpd):
    PICTURES.mkdir(parents=True, exist_ok=True)
    browser = Browser(workdir("chromium"))
    yield browser
    browser.close()


@pytest.fixture(params=PAGES)
def page(request, browser):
    browser.open("http://%s%s" % (HOST, PAGES[request.param]))
    return request.param


@pytest.mark.parametrize("shape", SHAPES)
def test_a_picture(browser, page, shape):
    """Nothing is wider than the screen."""
    browser.shape(**SHAPES[shape])
    browser.picture(PICTURES / ("%s-%s.png" % (page, shape)))
    assert browser.evaluate(
        "document.documentElement.scrollWidth <= window.innerWidth")


def test_print(browser, page):
    path = PICTURES / (page + ".pdf")
    browser.print(path)
    assert path.read_bytes().startswith(b"%PDF-")


@pytest.mark.parametrize("shape", SHAPES)
def test_everybody_can_read_it(browser, page, shape):
    """axe has nothing to say."""
    browser.shape(**SHAPES[shape])
    browser.evaluate(AXE.read_text() + "; undefined")
    found = json.loads(browser.evaluate(
        "axe.run().then(found => JSON.stringify(found))"))
    assert found["violations"] == []
    assert len(found["passes"]) > 10


def test_its_own_policy_lets_it_have_its_style(browser, page):
    browser.shape(**SHAPES["desk"])
    assert not [text for text in browser.complaints if "Policy" in text]
    assert browser.evaluate(
        "getComputedStyle(document.querySelector('main')).paddingTop") != "0px"


def test_a_script_of_a_strangers_does_not_run(browser, page):
    """Not even one that found its way into the page."""
    browser.evaluate("""
        const made = document.createElement('script');
        made.textContent = 'window.strange = true';
        document.body.append(made);""")
    assert browser.evaluate("window.strange === undefined")
