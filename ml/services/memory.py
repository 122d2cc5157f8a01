"""What memory a training takes: measured while it runs (`ml.peak_memory`), and told before it is queued."""

from ml.peak_memory import peak_memory_mb, reset_peak_memory

__all__ = ["peak_memory_mb", "reset_peak_memory"]
