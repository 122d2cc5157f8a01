"""Which program made a model: package versions and the code's revision, for its card."""

import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from django.conf import settings

PACKAGES: Final = ("torch", "torchvision", "numpy", "opencv-python-headless", "onnxruntime", "onnx", "pillow")


def versions() -> dict[str, str]:
    """Python, the packages that a score depends on, and the code's git revision ("unknown" outside git)."""
    found = {"python": platform.python_version(), "revision": _revision()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _revision() -> str:
    git = shutil.which("git")
    if git is None:
        return "unknown"
    try:
        answer = subprocess.run(  # noqa: S603 - a fixed command
            [git, "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return answer.stdout.strip()
