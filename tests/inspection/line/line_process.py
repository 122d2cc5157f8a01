"""A line in its own process, for tests that kill it: `python -m tests.inspection.line.line_process JSON PORT`."""

import sys
import threading
from pathlib import Path

from inspection.line.config import LineConfig
from inspection.line.runtime import LineRuntime

from .factories import HardwareCamera, ShadeJudge


def main(settings: str, control_port: str) -> None:
    """Runs until it is killed."""
    camera = HardwareCamera(int(control_port))
    runtime = LineRuntime(
        LineConfig.from_file(Path(settings)), lambda _: ShadeJudge(), sources={"top": camera}
    )
    runtime.start()
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
