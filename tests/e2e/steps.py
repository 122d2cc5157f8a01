"""What more than one of the browser's tests does."""

import csv
import io
import re
import zipfile

from playwright.sync_api import Page, expect

from annotation.synthetic import SyntheticPart

from .plant import Plant

TRAINING_WITHIN_MS = 300_000


def archive(parts: list[SyntheticPart], *, unlabelled: set[str]) -> bytes:
    """A ZIP with labels.csv; some images are left for the gallery."""
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(["file", "label", "class", "item"])
    for part in parts:
        is_ok = part.class_name == "OK"
        known = part.name not in unlabelled
        label = ("OK" if is_ok else "NG") if known else ""
        rows.writerow([part.name, label, "" if is_ok or not known else part.class_name, part.item])
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as made:
        made.writestr("labels.csv", table.getvalue())
        for part in parts:
            made.writestr(part.name, part.png())
    return content.getvalue()


def bring_in(page: Page, plant: Plant, name: str, content: bytes) -> None:
    page.goto(f"{plant.address}/datasets/new/")
    page.get_by_label("Name").fill(name)
    page.locator("input[type=file]").set_input_files(
        {"name": "images.zip", "mimeType": "application/zip", "buffer": content}
    )
    page.get_by_role("button", name="Make dataset").click()
    expect(page.get_by_role("link", name="To the gallery")).to_be_visible(timeout=60_000)
    page.get_by_role("link", name="To the gallery").click()


def wait_for_model(page: Page) -> None:
    """From a training that was asked for to its model's page."""
    ended = re.compile("done|failed|cancelled")
    state = page.locator("[data-role=state]")
    expect(state).to_have_attribute("data-state", ended, timeout=TRAINING_WITHIN_MS)
    expect(state).to_have_attribute("data-state", "done")
    expect(page.locator("[data-role=curves]")).to_be_visible()
    page.get_by_role("link", name="Open the model").click()
