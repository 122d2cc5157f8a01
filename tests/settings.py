"""The product's settings on a var/ folder of this run's own.

pytest-django reads settings before any conftest, so the folder is chosen here. Processes that tests start
inherit it.
"""

import os
import tempfile

if "INSPECTION_TESTS_VAR_DIR" not in os.environ:
    _folder = tempfile.TemporaryDirectory(prefix="inspection-tests-")
    os.environ["INSPECTION_TESTS_VAR_DIR"] = _folder.name
# Test processes beside each other have a folder each, and so have the processes that they start.
_process = os.environ.get("PYTEST_XDIST_WORKER", "")
if not os.environ["INSPECTION_TESTS_VAR_DIR"].endswith(_process):
    os.environ["INSPECTION_TESTS_VAR_DIR"] += f"/{_process}"
os.environ["INSPECTION_VAR_DIR"] = os.environ["INSPECTION_TESTS_VAR_DIR"]
os.environ.setdefault("SECRET_KEY", "tests")
os.environ.pop("PORT", None)

from inspection.config.settings import *  # noqa: E402, F403

# Nothing is collected for tests; that hashed names and their imports work has a test of its own.
STATIC_ROOT.mkdir(exist_ok=True)  # noqa: F405
STORAGES = STORAGES | {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}  # noqa: F405
# Logging in is not what is tested: a hash that is quick.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
