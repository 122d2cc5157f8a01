import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from .plant import Plant

CHROMIUM_OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def chromium_path() -> str:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "The browser suite needs Chromium: scripts/install_chromium.sh"
    return path


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def plant(tmp_path_factory) -> Iterator[Plant]:
    """The product without the demo."""
    with Plant(tmp_path_factory.mktemp("var"), "--no-demo") as running:
        yield running


@pytest.fixture
def page(browser: Browser, plant: Plant) -> Iterator[Page]:
    """A page logged in as the administrator; a script error or a request to another host fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"script error: {error}"))
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((plant.address, "data:", "blob:"))
            else wrong.append(f"request to another host: {request.url}")
        ),
    )
    page.goto(f"{plant.address}{login_path(plant)}")
    yield page
    context.close()
    assert not wrong


def login_path(plant: Plant) -> str:
    return plant.manage("login_link").strip().removeprefix(plant.address)
