"""The dashboard in Chromium, against a running demo: what a person sees, on a desk and on a phone."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.e2e.system import System, running, wait_for

CHROMIUM = "chromium-headless-shell"
DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
SOON_MS = 15_000
FIRST_POSITION_S = 180
RECONNECT_MS = 40_000
PICTURE_BYTES_MIN = 20_000
ELSEWHERE = "phoenix.example"
ELSEWHERE_IS_HERE = f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1"
# Plotly brings a style sheet for maps, which are not drawn here: the policy refuses it, as it should.
EXPECTED = "Applying inline style violates"

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A demo that holds at least one protected position."""
    with running(tmp_path_factory.mktemp("browser") / "p95") as demo:
        with demo.gateway() as gateway:

            def protected() -> bool:
                """Asks again: on a busy machine a request may come too late, and is refused for its age."""
                if any(one["protected"] for one in gateway.get("/api/portfolio").json()["active_positions"]):
                    return True
                gateway.post("/api/execute", json={"symbol": "BTCUSDT", "action": "buy", "confidence": 0.9})
                return False

            wait_for("a protected position", protected, FIRST_POSITION_S)
        yield demo


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    found = shutil.which(CHROMIUM)
    assert found, f"{CHROMIUM} is missing: scripts/system-packages --browser"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", ELSEWHERE_IS_HERE])
        yield started
        started.close()


class Seen:
    """What went wrong in a page, and where it asked for something."""

    def __init__(self, page: Page) -> None:
        self.errors: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and EXPECTED not in message.text:
            self.errors.append(message.text)


@pytest.fixture
def opened(browser: Browser, system: System, request: pytest.FixtureRequest) -> Iterator[tuple[Page, Seen]]:
    """The dashboard, live; DESK unless the test is parametrized otherwise."""
    page = browser.new_page(viewport=getattr(request, "param", DESK))
    seen = Seen(page)
    page.goto(system.state()["gateway_url"])
    expect(page.locator("#link")).to_have_text("live", timeout=SOON_MS)
    yield page, seen
    page.close()


@pytest.mark.parametrize("opened", [DESK, PHONE], indirect=True, ids=["desk", "phone"])
def test_everything_is_there_and_fits(opened: tuple[Page, Seen], system: System) -> None:
    page, seen = opened
    expect(page.locator(".mode strong")).to_have_text("PAPER")
    expect(page.locator(".mode strong")).to_be_in_viewport()
    expect(page.locator("#candles .main-svg").first).to_be_visible(timeout=SOON_MS)
    expect(page.locator("#curve .main-svg").first).to_be_visible(timeout=SOON_MS)
    position = page.locator("#positions .position").first
    expect(position).to_contain_text(re.compile("LONG|SHORT"), timeout=SOON_MS)
    expect(position).to_contain_text("✓ protected")
    expect(position).to_contain_text(re.compile(r"stop [\d,.]+"))
    traded = page.locator("#decisions tr.picked").first
    expect(traded).to_contain_text("TRADED")
    expect(traded).to_contain_text("all gates passed")
    expect(page.locator("#equity")).to_have_text(re.compile(r"^[\d,]+\.\d\d$"))
    expect(page.locator("#services li")).to_have_count(8)
    expect(page.locator("#services li.bad")).to_have_count(0)
    expect(page.locator("#processes li")).to_have_count(7, timeout=SOON_MS)
    expect(page.locator("#alerts")).to_be_visible()
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert page.evaluate("document.documentElement.scrollWidth") == width, "the page is wider than the screen"
    assert seen.errors == []
    assert seen.hosts == {system.state()["gateway_url"].split("/")[2]}, "something came from elsewhere"


@pytest.mark.parametrize("opened", [PHONE], indirect=True, ids=["phone"])
def test_a_decision_opens_its_story(opened: tuple[Page, Seen]) -> None:
    page, seen = opened
    page.locator("#decisions tr.picked a").first.click()
    expect(page).to_have_title(re.compile("^why: "))
    for heading in ("Decision", "Gates", "Requests", "Fills", "What happened"):
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    expect(page.get_by_text("stop verified: protected").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], "the page is wider than the screen"
    assert seen.errors == []


def test_it_lives(opened: tuple[Page, Seen]) -> None:
    page, _ = opened
    clock = page.locator("#clock")
    expect(clock).not_to_have_text("–", timeout=SOON_MS)
    expect(clock).not_to_have_text(clock.inner_text(), timeout=SOON_MS)
    chart = page.locator("#candles")
    expect(chart).to_have_attribute("aria-label", re.compile("BTCUSDT, last"), timeout=SOON_MS)
    expect(chart).not_to_have_attribute("aria-label", chart.get_attribute("aria-label") or "", timeout=SOON_MS)


def test_another_symbol_is_one_press_away_by_keyboard_too(opened: tuple[Page, Seen]) -> None:
    page, seen = opened
    button = page.get_by_role("button", name=re.compile("^ETH"))
    button.focus()
    page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#candles")).to_have_attribute("aria-label", re.compile("ETHUSDT, last"), timeout=SOON_MS)
    assert page.url.endswith("#ETHUSDT")
    assert seen.errors == []


def test_it_says_that_the_gateway_went_away_and_comes_back_by_itself(opened: tuple[Page, Seen], system: System) -> None:
    page, _ = opened
    system.kill("gateway")
    link = page.locator("#link")
    expect(link).to_have_attribute("data-state", "lost", timeout=SOON_MS)
    expect(link).to_have_attribute("data-state", "live", timeout=RECONNECT_MS)
    expect(page.locator("main")).not_to_have_class("stale")


def test_where_reading_is_not_free_it_asks_for_the_key(browser: Browser, system: System) -> None:
    page = browser.new_page()
    page.goto(system.state()["gateway_url"].replace("127.0.0.1", ELSEWHERE))
    key = page.get_by_label("reading needs an API key")
    expect(key).to_be_visible(timeout=SOON_MS)
    key.fill("not the key at all")
    key.press("Enter")
    expect(page.locator("#key-said")).to_contain_text("X-API-Key", timeout=SOON_MS)
    expect(page.locator("#equity")).to_have_text("–")
    key.fill((system.data / "secrets" / "api_key").read_text().strip())
    key.press("Enter")
    expect(page.locator("#link")).to_have_text("live", timeout=SOON_MS)
    expect(page.locator("#equity")).not_to_have_text("–", timeout=SOON_MS)
    expect(key).to_be_hidden()
    page.close()


@pytest.mark.parametrize("opened", [DESK, PHONE], indirect=True, ids=["desk", "phone"])
def test_a_picture_can_be_taken(opened: tuple[Page, Seen], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """`P95_TEST_PICTURES` names a folder to keep them in; docs/img/dashboard.png was made so."""
    page, _ = opened
    expect(page.locator("#candles .main-svg").first).to_be_visible(timeout=SOON_MS)
    folder = Path(os.environ.get("P95_TEST_PICTURES") or tmp_path)
    picture = folder / f"dashboard-{request.node.callspec.id}.png"
    page.screenshot(path=picture)
    assert picture.stat().st_size > PICTURE_BYTES_MIN, "an empty page"
