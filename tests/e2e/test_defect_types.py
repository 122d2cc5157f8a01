"""Unsorted NG images to labelled types: train on OK, find types, choose on the map, say what they are, undo."""

import re

import pytest
from playwright.sync_api import Page, expect

from annotation.synthetic import make_parts
from ml.methods.declarations import METHODS

from .plant import Plant
from .steps import archive, bring_in, wait_for_model

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

NG = 12


def train(page: Page) -> None:
    page.get_by_role("link", name="Train", exact=True).click()
    page.get_by_label(METHODS["grad_mobilenet"].title).check()
    height = page.locator("[name=parameter-height]")
    expect(height).to_have_value(str(METHODS["grad_mobilenet"].presets["quick"].height))
    expect(
        page.get_by_text("GB to train")
    ).to_be_visible()  # asked for by the page's scripts: they are at work
    page.get_by_label("Preset").select_option("quick-scratch")
    expect(page.locator("[name=parameter-weights]")).to_have_value("none")
    page.get_by_role("button", name="Train").click()
    wait_for_model(page)


def find_types(page: Page) -> None:
    page.get_by_role("button", name="Find defect types").click()
    expect(page.locator("[data-page=discovery]")).to_have_attribute("data-state", "done", timeout=120_000)
    expect(page.locator("[data-role=map] .scatterlayer")).to_be_visible()


def unlabelled(page: Page, plant: Plant) -> int:
    answer = page.request.get(f"{plant.address}/api/v1/datasets/plates/images/?show=unlabelled")
    return len(answer.json()["results"])


def draw_around_everything(page: Page) -> None:
    area = page.locator("[data-role=map] .nsewdrag").first
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    left, right = box["x"] + 2, box["x"] + box["width"] - 2
    top, bottom = box["y"] + 2, box["y"] + box["height"] - 2
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((right, top), (right, bottom), (left, bottom), (left, top)):
        page.mouse.move(x, y, steps=6)
    page.mouse.up()


def test_types_are_found_chosen_on_the_map_named_and_taken_back(page: Page, plant: Plant):
    parts = list(make_parts(ok=32, ng=NG, seed=4, prefix="plate"))
    ng = {part.name for part in parts if part.class_name != "OK"}
    bring_in(page, plant, "Plates", archive(parts, unlabelled=ng))
    assert unlabelled(page, plant) == NG
    train(page)
    page.get_by_label("Types", exact=True).fill("2")
    find_types(page)

    label, said = page.locator("[data-role=label]"), page.locator("[data-role=said]")
    expect(label).to_be_disabled()
    page.get_by_label("Choose a whole type").select_option("0")
    pictures = page.locator("[data-role=pictures] img")
    count = pictures.count()
    assert NG / 2 <= count < NG, "type 1 is the largest"
    expect(said).to_have_text(f"{count} images chosen.")
    page.get_by_label("Name of the class").fill("dent")
    expect(label).to_have_text(re.compile(f"Add class “dent” and label {count} images"))
    label.click()
    expect(said).to_have_text(f"{count} images labelled “dent”.")
    assert unlabelled(page, plant) == NG - count

    draw_around_everything(page)
    expect(pictures).to_have_count(NG)
    page.get_by_label("Name of the class").fill("ng")
    expect(label).to_have_text(re.compile(f"Label {NG} images NG"))
    label.click()
    expect(said).to_have_text(f"{NG} images labelled “NG”.")
    page.get_by_role("button", name="Undo").click()
    expect(said).to_have_text("The last labels were taken back.")
    assert unlabelled(page, plant) == NG - count

    page.reload()
    page.get_by_label("Keep the types of").select_option(index=1)
    find_types(page)
    expect(page.get_by_text("They are those of an earlier search")).to_be_visible()
