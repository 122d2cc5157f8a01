"""How long a user waits: command → page, command → first verdict, Ctrl-C → all gone."""

import tempfile
import time
from pathlib import Path
from typing import Any

from tests.e2e.plant import Plant

FIRST_VERDICT_WITHIN_S = 600


def measure_start() -> dict[str, Any]:
    """Starts the product on an empty folder with its demo, and again on the same folder."""
    with tempfile.TemporaryDirectory() as name:
        var = Path(name)
        began = time.monotonic()
        with Plant(var) as plant:
            first_page_s = time.monotonic() - began
            plant.wait_for("first live verdict", FIRST_VERDICT_WITHIN_S)
            first_verdict_s = time.monotonic() - began
            began = time.monotonic()
        stop_s = time.monotonic() - began
        again = []
        for _ in range(3):
            began = time.monotonic()
            with Plant(var):
                again.append(time.monotonic() - began)
    return {
        "command_to_page_first_s": round(first_page_s, 1),
        "command_to_page_again_s": round(sorted(again)[1], 1),
        "command_to_first_verdict_s": round(first_verdict_s, 1),
        "ctrl_c_to_all_gone_s": round(stop_s, 1),
    }
