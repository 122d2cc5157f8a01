"""The benchmarks measure what they say: a long one that fails at its end is an evening lost."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ml.methods.declarations import METHODS
from tests.benchmarks.__main__ import BEGIN, CAN_BE_QUICK, END, with_section

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CAN_BE_QUICK))
def test_a_quick_benchmark_goes_through_to_its_figures(name, tmp_path):
    where = tmp_path / "figures.json"
    command = [sys.executable, "-m", "tests.benchmarks", name, "--quick", "--json", str(where)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=600)
    figures = json.loads(where.read_text())[name]["figures"]
    assert figures
    if name == "engines":
        assert set(METHODS) <= set(figures)
        for method in METHODS:
            states = {one.get("state", "measured") for one in figures[method]["variants"].values()}
            assert "broken" not in states, method


def test_a_section_is_written_in_its_place_and_the_others_stay():
    page = f"# Page\n\n{BEGIN}\n### From the command\n\nold\n\n| a | b |\n\n### The demo line, live\n\nlive\n\n{END}\nafter\n"
    once = with_section(page, "start", "new")
    assert once == page.replace("old\n\n| a | b |", "new")
    twice = with_section(once, "engines", "first of all")
    assert twice == once.replace(f"{BEGIN}\n", f"{BEGIN}\n### The network alone\n\nfirst of all\n\n")
