from dataclasses import replace
from typing import Literal

import pytest
from pydantic import Field

from ml.adviser import DatasetFacts, advise
from ml.methods.contract import Needs
from ml.methods.declarations import METHODS, MethodDeclaration, MethodParameters


class Parameters(MethodParameters):
    size: int = Field(default=224)
    recipe: Literal["a", "b"] = "a"


def declared(name: str, **needs: int) -> MethodDeclaration:
    return MethodDeclaration(
        name=name, title=name.upper(), when_to_use="", needs=Needs(**needs), Parameters=Parameters, presets={},
        module="",
    )  # fmt: skip


ALL = {
    one.name: one
    for one in (
        declared("weak", ok=5, ng=5),
        declared("maa", ok=10),
        declared("grad_mobilenet", ok=50),
        declared("multipath_vgg", ok=2, ng=2, per_class=2),
        declared("transfer_vgg", ok=10, ng=10),
    )
}


def advice(methods=ALL, **facts):
    return advise(DatasetFacts(**{"by_type": {}, "ok": 0} | facts), methods, held_out_share=0.3)


def proposed(methods=ALL, **facts) -> list[str]:
    return [one.method for one in advice(methods, **facts).proposals]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"ok": 200}, ["maa", "grad_mobilenet"]),
        ({"ok": 200, "unlabelled": 60}, ["grad_mobilenet", "maa"]),
        ({"ok": 20}, ["maa"]),
        ({"ok": 300, "by_type": {"NG": 8}}, ["weak", "maa"]),
        ({"ok": 300, "by_type": {"NG": 50}}, ["weak", "transfer_vgg"]),
        ({"ok": 300, "by_type": {"NG": 50}, "unlabelled": 30}, ["weak", "transfer_vgg"]),
        ({"ok": 300, "by_type": {"NG": 4}, "unlabelled": 30}, ["grad_mobilenet", "maa"]),
        ({"ok": 300, "by_type": {"NG": 50}, "views": 4}, ["transfer_vgg", "weak"]),
        ({"ok": 900, "by_type": {"crack": 57, "fray": 32}}, ["multipath_vgg", "weak"]),
        ({"ok": 3}, []),
        ({}, []),
    ],
)
def test_the_counts_decide(facts, expected):
    assert proposed(**facts) == expected


def test_a_method_that_is_not_here_is_not_mentioned():
    only = {"weak": ALL["weak"]}
    found = advice(only, ok=200)
    assert found.proposals == []
    assert [one.method for one in found.openings] == ["weak"]


def test_needs_are_the_declarations_and_hold_for_the_part_that_is_trained_on():
    assert proposed(ok=200, by_type={"NG": 7})[0] == "maa"  # 4 of 7 remain to train on
    assert proposed(ok=200, by_type={"NG": 8})[0] == "weak"
    stricter = ALL | {"weak": replace(ALL["weak"], needs=Needs(ok=5, ng=30))}
    assert proposed(stricter, ok=200, by_type={"NG": 8})[0] == "maa"


def openings(**facts) -> dict[str, str]:
    return {one.method: one.text for one in advice(**facts).openings}


def test_an_opening_says_how_many_images_are_missing_and_that_many_open_it():
    assert "Label 5 more NG" in openings(ok=200, by_type={"NG": 3})["weak"]
    assert "weak" not in openings(ok=200, by_type={"NG": 8})


def test_every_shortfall_is_in_one_sentence():
    assert "Label 12 more OK and 9 more NG" in openings(ok=3, by_type={"NG": 6})["transfer_vgg"]


def test_a_type_with_too_few_images_is_named():
    assert "2 more of fray" in openings(ok=90, by_type={"crack": 20, "fray": 1})["multipath_vgg"]


def test_one_type_alone_asks_for_names():
    assert "Name the defect types" in openings(ok=90, by_type={"NG": 20})["multipath_vgg"]


def test_sorting_by_kind_is_not_proposed_where_the_kinds_are_known():
    assert "nobody has sorted" in openings(ok=90, by_type={"a": 20, "b": 20}, unlabelled=5)["grad_mobilenet"]


def test_large_images_without_a_region_are_warned_of():
    facts = {"ok": 300, "by_type": {"NG": 50}, "height": 1270, "width": 500}
    assert "1270 × 500 px to 224 px" in advice(**facts).proposals[0].caution
    assert advice(**facts, has_region=True).proposals[0].caution == ""
    assert advice(**(facts | {"height": 400, "width": 300})).proposals[0].caution == ""


def test_few_ok_images_for_a_method_that_takes_nothing_else_are_pointed_out():
    assert "about 50 OK images" in advice(ok=20).proposals[0].caution
    assert advice(ok=80).proposals[0].caution == ""


def test_the_reason_has_the_counts():
    assert "200 OK images and no NG image" in advice(ok=200).proposals[0].reason
    assert "1 NG image" in advice(ok=200, by_type={"NG": 1}).proposals[0].reason


def test_the_registered_methods_can_all_be_advised_on():
    found = advise(DatasetFacts(ok=400, by_type={"a": 40, "b": 40}), METHODS, held_out_share=0.3)
    assert found.proposals
    assert {one.method for one in (*found.proposals, *found.openings)} <= METHODS.keys()
    assert all(one.reason.endswith(".") for one in found.proposals)
