"""Which machine this is, as far as a network's speed goes: another machine or package, another name."""

import hashlib
import json
import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

PACKAGES: Final = ("onnxruntime", "onnxruntime-gpu", "openvino", "torch", "numpy", "opencv-python-headless")
_CPU_INFO: Final = Path("/proc/cpuinfo")
_GPU_INFO: Final = Path("/proc/driver/nvidia")


def cores() -> int:
    """The processor's cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_nvidia() -> bool:
    """Whether the system has a driver of NVIDIA's, told without loading anything."""
    return (_GPU_INFO / "version").exists() or Path("/dev/nvidiactl").exists()


@cache
def machine_facts() -> dict[str, Any]:
    """What a measured time depends on: processor, cores, graphics processors, package versions."""
    return {
        "processor": _processor(),
        "cores": cores(),
        "graphics": _graphics(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": dict(filter(None, map(_installed, PACKAGES))),
    }


def machine_key() -> str:
    """16 hexadecimal digits that name `machine_facts`."""
    return hashlib.sha256(json.dumps(machine_facts(), sort_keys=True).encode()).hexdigest()[:16]


def _processor() -> str:
    """Name, family, model and what it can compute: cloud machines call several processors by one name."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8").split("\n\n", 1)[0].splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    has = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
           if flag in facts.get("flags", "").split()]  # fmt: skip
    name = facts.get("model name", platform.machine())
    return f"{name}, family {facts.get('cpu family', '?')}, model {facts.get('model', '?')}, {' '.join(has)}"


def _graphics() -> list[str]:
    cards = sorted((_GPU_INFO / "gpus").glob("*/information")) if has_nvidia() else []
    return [card.read_text(encoding="utf-8").partition("\n")[0].partition(":")[2].strip() for card in cards]


def _installed(package: str) -> tuple[str, str] | None:
    try:
        return package, version(package)
    except PackageNotFoundError:
        return None
