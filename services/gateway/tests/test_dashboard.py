"""The dashboard's page and files: no figures in them, nothing from elsewhere, nothing else can be had."""

import re
from importlib.resources import files

import pytest

FILES = ("app.js", "charts.js", "events.js", "format.js", "panels.js", "style.css", "icon.svg")
PLOTLY_BYTES_MIN = 1_000_000


async def test_the_page_says_in_plain_sight_that_this_is_paper(gateway):
    got = await gateway.http.get("/")
    assert got.status_code == 200
    assert got.headers["content-type"] == "text/html; charset=utf-8"
    assert "<strong>PAPER</strong>" in got.text
    assert "no real money" in got.text
    assert not re.search(r"\$[a-z{]", got.text), "a place of the template was left"


async def test_the_policy_lets_nothing_in_from_elsewhere(gateway):
    got = await gateway.http.get("/")
    policy = got.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    for text in (got.text, *((files("phoenix95.gateway") / "dashboard" / name).read_text() for name in FILES)):
        found = set(re.findall(r"https?://[^\"'\s<>]+", text))
        assert found <= {"http://www.w3.org/2000/svg"}, found
    assert not re.search(r"<script(?![^>]*src=)", got.text)
    assert "style=" not in got.text


@pytest.mark.parametrize("name", FILES)
async def test_its_files_are_served_once_and_then_by_their_tag(gateway, name):
    got = await gateway.http.get(f"/static/{name}")
    assert got.status_code == 200
    assert got.text == (files("phoenix95.gateway") / "dashboard" / name).read_text()
    again = await gateway.http.get(f"/static/{name}", headers={"If-None-Match": got.headers["etag"]})
    assert again.status_code == 304
    assert not again.content


async def test_plotly_comes_from_its_installed_package(gateway):
    got = await gateway.http.get("/static/plotly.min.js")
    assert got.status_code == 200
    assert got.headers["content-type"].startswith("text/javascript")
    assert len(got.content) > PLOTLY_BYTES_MIN


@pytest.mark.parametrize(
    "name", ["page.html", "nothing.js", "..%2fservice.py", "%2e%2e/service.py", "a%00.js", "app.js/x", "é.js"]
)
async def test_nothing_else_can_be_had(gateway, name):
    assert (await gateway.http.get(f"/static/{name}")).status_code == 404


async def test_the_page_is_open_where_the_figures_are_not(gateway):
    elsewhere = {"Host": "phoenix.example"}
    assert (await gateway.http.get("/", headers=elsewhere)).status_code == 200
    assert (await gateway.http.get("/api/events", headers=elsewhere)).status_code == 401
