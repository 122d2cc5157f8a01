"""Figures by class as rows for a page: what is found of each type, and which types are taken for which."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .metrics import interval_text, value_text

SHADES = 5  # of a confusion matrix's cells


@dataclass(frozen=True)
class ClassRow:
    """What the threshold makes of one class; the tuner's line rewrites it as it moves."""

    name: str
    is_ng: bool
    n: int
    judged_ng: int
    share: str
    interval: str
    auroc: str
    auroc_interval: str


@dataclass(frozen=True)
class Cell:
    count: int
    shade: int
    is_right: bool


@dataclass(frozen=True)
class ClassifiedRow:
    """One labelled class: what it was named, and how well."""

    name: str
    cells: list[Cell]
    n: int
    precision: str
    precision_interval: str
    recall: str
    recall_interval: str
    f1: str
    auroc: str
    auroc_interval: str


def class_rows(evaluation: Mapping[str, Any]) -> list[ClassRow]:
    detection = evaluation.get("classes", {}).get("detection", {})
    return [_class_row(name, entry) for name, entry in detection.items()]


def _class_row(name: str, entry: Mapping[str, Any]) -> ClassRow:
    recall, area = entry["recall"], entry.get("auroc", {})
    is_ng = entry["is_ng"]
    share, low, high = recall["value"], recall["low"], recall["high"]
    if not is_ng and share is not None:  # of OK images, those not judged right were judged NG
        share, low, high = 1 - share, 1 - high, 1 - low
    return ClassRow(
        name=name,
        is_ng=is_ng,
        n=entry["n"],
        judged_ng=recall["count"] if is_ng else entry["n"] - recall["count"],
        share=value_text(share, is_rate=True),
        interval=interval_text({"low": low, "high": high}, is_rate=True),
        auroc=value_text(area.get("value"), is_rate=False),
        auroc_interval=interval_text(area, is_rate=False),
    )


def classification(evaluation: Mapping[str, Any]) -> dict[str, Any] | None:
    """The confusion matrix with its rows' figures, and the means; None for a method without classes."""
    found = evaluation.get("classes", {}).get("classification")
    if not found:
        return None
    return {
        "names": found["names"],
        "rows": [
            _classified_row(name, index, counts, found["by_class"][name])
            for index, (name, counts) in enumerate(zip(found["names"], found["confusion"], strict=True))
        ],
        "accuracy": value_text(found["accuracy"]["value"], is_rate=True),
        "accuracy_interval": interval_text(found["accuracy"], is_rate=True),
        "macro": {
            name: value_text(value, is_rate=name in {"precision", "recall"})
            for name, value in found["macro"].items()
        },
    }


def _classified_row(name: str, index: int, counts: list[int], entry: Mapping[str, Any]) -> ClassifiedRow:
    total = sum(counts)
    return ClassifiedRow(
        name=name,
        cells=[
            Cell(count, -(-SHADES * count // total) if total else 0, is_right=column == index)
            for column, count in enumerate(counts)
        ],
        n=entry["n"],
        precision=value_text(entry["precision"]["value"], is_rate=True),
        precision_interval=interval_text(entry["precision"], is_rate=True),
        recall=value_text(entry["recall"]["value"], is_rate=True),
        recall_interval=interval_text(entry["recall"], is_rate=True),
        f1=value_text(entry["f1"]["value"], is_rate=False),
        auroc=value_text(entry["auroc"]["value"], is_rate=False),
        auroc_interval=interval_text(entry["auroc"], is_rate=False),
    )
