import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize("module", sorted(path.name for path in HERE.glob("*.test.mjs")))
def test_the_pure_modules_of_the_pages(module):
    ended = subprocess.run(["node", "--test", str(HERE / module)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout
