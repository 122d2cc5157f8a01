"""Which program made a model, and where: package versions, the code's revision, the machine; for its card."""

import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

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


def machine() -> dict[str, Any]:
    """What scores and times depend on beside the program. Imports torch.

    Returns:
        "processor", "cores", "memory_gb", "threads" (of one operator; another number rounds differently) and
        "device" (what networks are trained on).
    """
    import psutil  # type: ignore[import-untyped]
    import torch

    from ml.methods.devices import training_device

    device = training_device()
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "processor",
    }


def _processor() -> str:
    try:
        named = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        named = None
    return named[1].strip() if named else platform.processor() or platform.machine()


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
