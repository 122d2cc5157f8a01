"""The product's settings on a var/ folder of this run's own.

pytest-django reads settings before any conftest, so the folder is chosen here. Processes that tests start
inherit it.
"""

import os
import tempfile

if "INSPECTION_TESTS_VAR_DIR" not in os.environ:
    _folder = tempfile.TemporaryDirectory(prefix="inspection-tests-")
    os.environ["INSPECTION_TESTS_VAR_DIR"] = _folder.name
os.environ["INSPECTION_VAR_DIR"] = os.environ["INSPECTION_TESTS_VAR_DIR"]
os.environ.setdefault("SECRET_KEY", "tests")
os.environ.pop("PORT", None)

from inspection.config.settings import *  # noqa: F403
