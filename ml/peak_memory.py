"""The peak memory of one piece of work, in a process that may have done others before."""

import re
import resource
from pathlib import Path
from typing import Final

_CLEAR: Final = Path("/proc/self/clear_refs")
_STATUS: Final = Path("/proc/self/status")
_RESET_PEAK: Final = "5"  # Linux, proc(5): resets the peak resident set size to the current one


def reset_peak_memory() -> None:
    """Starts the count anew where the system can; elsewhere the peak is that of the whole process."""
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        return


def peak_memory_mb() -> float:
    """The most memory that this process held at once since the reset, MB."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    except OSError:
        found = None
    kilobytes = int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(kilobytes / 1024, 1)
