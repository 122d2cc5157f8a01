"""Images in, a rejected part out: import, label, train, threshold, deploy, live verdicts, the gate's own log."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from annotation.synthetic import make_parts
from ml.methods.declarations import METHODS

from .plant import Plant, free_port
from .steps import archive, bring_in, wait_for_model

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PARTS = 24
PERIOD_MS = 700


def label_the_rest(page: Page, truth: dict[str, str]) -> None:
    """One key an image."""
    page.get_by_role("link", name=re.compile("^Unlabelled")).click()
    cells = page.locator(".cell")
    names = [cells.nth(i).get_attribute("data-name") for i in range(cells.count())]
    assert set(names) == set(truth)
    page.locator("#cells").focus()
    for name in names:
        cell = page.locator(f'.cell[data-name="{name}"]')
        cell.click(position={"x": 8, "y": 8}) if cell.get_attribute("aria-current") is None else None
        page.keyboard.press("o" if truth[name] == "OK" else "n")
        expect(cell).not_to_have_attribute("data-number", "")
        expect(cell).not_to_have_class(re.compile("is-saving"))


def train(page: Page) -> None:
    page.get_by_role("link", name="Train", exact=True).click()
    page.get_by_label(METHODS["weak"].title).check()  # the page proposes another one for this dataset
    height = page.locator("[name=parameter-height]")
    expect(height).to_have_value(str(METHODS["weak"].presets["quick"].height))
    page.get_by_label("Preset").select_option("demo")
    expect(height).to_have_value(str(METHODS["weak"].presets["demo"].height))
    page.get_by_label("Seed").fill("7")
    page.get_by_role("button", name="Train").click()
    wait_for_model(page)


def set_threshold(page: Page) -> float:
    handle = page.locator("[data-role=ng-handle]")
    expect(handle).to_be_visible()
    page.get_by_role("button", name="Best F1").click()
    expect(page.locator("[data-role=escapes]")).to_contain_text("0 /")
    expect(page.locator("[data-role=overkill]")).to_contain_text("0 /")
    before = float(page.locator("#ng_at").input_value())
    box = handle.bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] - 12, middle[1], steps=4)
    page.mouse.up()
    after = float(page.locator("#ng_at").input_value())
    assert 0 < after < before
    expect(page.locator("[data-role=escapes]")).to_contain_text("0 /")
    page.locator("#reason").fill("no escapes, and a little to spare")
    page.get_by_role("button", name="Save as operating point").click()
    expect(page.get_by_text("no escapes, and a little to spare")).to_be_visible()
    return after


def set_up_line(page: Page, plant: Plant, *, plc_port: int) -> None:
    page.goto(f"{plant.address}/lines/new/")
    page.get_by_label("Name").first.fill("Loop")
    page.get_by_label("Port").fill(str(plc_port))
    page.get_by_label("Deadline (ms)").fill("5000")
    station = page.locator("[data-stations] [data-station]").first
    if not station.is_visible():
        page.get_by_role("button", name="Add a station").click()
    station.locator("[name$=-name]").fill("top")
    station.locator("[name$=-source]").select_option("replay")
    station.locator("[name$=-dataset]").select_option(label="Parts to come")
    page.get_by_role("button", name="Save").click()
    expect(page).to_have_url(re.compile("/lines/loop/$"))


def deploy(page: Page, plant: Plant, version: str) -> None:
    page.goto(version)
    row = page.get_by_role("row").filter(has_text="no escapes, and a little to spare")
    page.once("dialog", lambda dialog: dialog.accept())
    row.locator("select[name=line]").select_option("loop")
    row.get_by_role("button", name="Deploy").click()
    page.goto(f"{plant.address}/lines/loop/")


def gate_log(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_ng_part_on_the_line_is_rejected_by_a_model_trained_here(page: Page, plant: Plant, tmp_path):
    plc_port = free_port()
    taught = list(make_parts(ok=80, ng=48, seed=7, prefix="taught"))
    to_come = list(make_parts(ok=18, ng=6, seed=8, prefix="to-come"))
    truth_of_unlabelled = {part.name: part.class_name for part in taught[:6]}

    bring_in(page, plant, "Parts to come", archive(to_come, unlabelled=set()))
    bring_in(page, plant, "Taught", archive(taught, unlabelled=set(truth_of_unlabelled)))
    label_the_rest(page, truth_of_unlabelled)
    page.goto(f"{plant.address}/datasets/taught/")
    train(page)
    version = page.url
    ng_at = set_threshold(page)
    set_up_line(page, plant, plc_port=plc_port)
    deploy(page, plant, version)
    expect(page.locator("[data-panel]")).to_contain_text(
        re.compile("live on|live$|live", re.IGNORECASE), timeout=60_000
    )

    log = tmp_path / "gate.jsonl"
    options = [
        "--port",
        str(plc_port),
        "--period-ms",
        str(PERIOD_MS),
        "--parts",
        str(PARTS),
        "--log",
        str(log),
    ]
    simulator = plant.start("plc_simulator", *options)
    expect(page.locator("[data-verdict-word]")).to_have_text(re.compile("OK|NG"), timeout=60_000)
    said = simulator.communicate(timeout=PARTS * PERIOD_MS / 1000 + 90)[0]
    assert simulator.returncode == 0, said

    answer = page.request.get(f"{plant.address}/api/v1/lines/loop/parts/?page_size=100")
    judged = {part["trigger_sequence"]: part for part in answer.json()["results"]}
    truth = [part.class_name for part in sorted(to_come, key=lambda part: part.item)]
    verdicts = {sequence: part["verdict"] for sequence, part in judged.items()}
    assert verdicts == {k: "OK" if truth[k - 1] == "OK" else "NG" for k in range(1, PARTS + 1)}
    assert [part["ng_at"] for part in judged.values()] == pytest.approx([ng_at] * PARTS)

    rejected = {entry["sequence"] for entry in gate_log(log) if entry.get("gate") == "rejected"}
    assert rejected == {k for k in range(1, PARTS + 1) if truth[k - 1] != "OK"}
    expect(page.locator("[data-strip] .strip-cell")).to_have_count(PARTS)
