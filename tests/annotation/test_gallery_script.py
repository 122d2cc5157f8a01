import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_gallery_s_cursor_and_selection_behave() -> None:
    script = Path(__file__).with_name("gallery_state.test.mjs")
    done = subprocess.run(["node", "--test", str(script)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
