"""Near-identical images of the public sets: what is there, and that nothing else is joined."""

import csv
import os
from collections import Counter
from pathlib import Path

import pytest

from annotation.decoding import decode_image
from annotation.fingerprints import fingerprint
from ml.evaluation.lookalikes import find_lookalikes
from ml.evaluation.splits import joined_groups

ROOT = Path(os.environ.get("INSPECTION_DATA_DIR", "/nowhere"))
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not ROOT.is_dir(), reason="INSPECTION_DATA_DIR is not set"),
]


def listed(name: str) -> list[dict[str, str]]:
    """One row a content, in the list's order."""
    with (ROOT / name / "labels.csv").open(newline="") as stream:
        return list({row["sha256"]: row for row in reversed(list(csv.DictReader(stream)))}.values())[::-1]


def found_in(name: str, rows: list[dict[str, str]]):
    return find_lookalikes([fingerprint(decode_image(ROOT / name / row["file"])) for row in rows])


def test_kolektors_kos38_is_kos39_and_nothing_else_is_near_identical():
    rows = listed("kolektorsdd")
    found = found_in("kolektorsdd", rows)
    assert {tuple(sorted(rows[at]["item"] for at in pair)) for pair in found.pairs} == {("kos38", "kos39")}
    assert len(found.pairs) == 8


def test_the_magnetic_tiles_exposures_of_one_tile_are_one_group():
    rows = listed("magnetic_tile")
    found = found_in("magnetic_tile", rows)
    sizes = Counter(joined_groups(len(rows), [], found.pairs.tolist())).values()
    assert max(sizes) <= 15
    assert Counter(sizes)[6] > 140  # six exposures a tile
    assert 270 <= len(sizes) <= 310
