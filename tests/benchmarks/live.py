"""Verdict → pixels: from the line's verdict to the frame in which an open browser shows it."""

import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.e2e.conftest import CHROMIUM_OPTIONS, chromium_path
from tests.e2e.plant import Plant

from .machine import percentiles

PARTS = 40
# The event brings the time of the verdict; the page's own module paints it; both clocks are this machine's.
WATCH = """
() => {
  window.shown = [];
  const judged = new Map();
  const socket = new WebSocket(`ws://${location.host}/ws/lines/demo/`);
  socket.addEventListener("message", (message) => {
    const event = JSON.parse(message.data);
    if (event.type === "part_judged") judged.set(event.sequence, Date.parse(event.judged_at));
  });
  const name = document.querySelector("[data-part-name]");
  new MutationObserver(() => {
    const sequence = Number(/#(\\d+)/.exec(name.textContent)?.[1]);
    requestAnimationFrame(() => setTimeout(() => {
      if (judged.has(sequence)) window.shown.push(Date.now() - judged.get(sequence));
    }));
  }).observe(name, { childList: true, characterData: true, subtree: true });
}
"""


def measure_live() -> dict[str, Any]:
    """The demo line with one browser open on it, ms."""
    with tempfile.TemporaryDirectory() as name, Plant(Path(name)) as plant:
        plant.wait_for("first live verdict", 600)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_OPTIONS)
            page = browser.new_page(bypass_csp=True)  # the measure waits by evaluating in the page
            page.goto(plant.manage("login_link").strip())
            page.goto(f"{plant.address}/lines/demo/")
            page.evaluate(WATCH)
            page.wait_for_function(f"window.shown.length >= {PARTS}", timeout=PARTS * 3000)
            shown = page.evaluate("window.shown")
            parts = page.request.get(f"{plant.address}/api/v1/lines/demo/parts/?page_size=100").json()[
                "results"
            ]
            browser.close()
    good = [part for part in parts if part["verdict"] != "ERROR"]
    return {
        "verdict_to_pixels_ms": percentiles(shown),
        "network_and_map_ms": percentiles([part["judge_ms"] for part in good]),
        "trigger_to_answer_ms": percentiles([part["total_ms"] for part in good]),
        "overhead_ms": percentiles([part["total_ms"] - part["judge_ms"] for part in good]),
    }
