"""Images and maps of judged parts on disk. Writing them never holds up judging: one too many is not kept."""

import logging
import queue
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection.line.events import AlarmBoard, EventHub, EvidenceStored
from inspection.line.frames import Frame

logger = logging.getLogger(__name__)

BUCKET = 1000
SUFFIXES = {
    b"\x89PNG": "png",
    b"\xff\xd8\xff": "jpg",
    b"RIFF": "webp",
    b"BM": "bmp",
    b"II*\0": "tif",
    b"MM\0*": "tif",
}


@dataclass(frozen=True, kw_only=True)
class EvidenceFile:
    """One file to write: where (relative to the line's folder), and how to make its bytes."""

    path: str
    encode: Callable[[], bytes]


def evidence_path(sequence: int, station: str, what: str, suffix: str) -> str:
    """Where a part's file lies, relative to the line's folder; a folder holds a thousand parts."""
    return f"evidence/{sequence // BUCKET:08d}/{sequence:011d}-{station}-{what}.{suffix}"


def frame_file(frame: Frame, sequence: int, station: str) -> EvidenceFile | None:
    """The frame as it came, or as PNG where it came as pixels; None for a frame without either."""
    if frame.encoded is not None:
        encoded = frame.encoded
        suffix = next((name for magic, name in SUFFIXES.items() if encoded.startswith(magic)), "bin")
        return EvidenceFile(path=evidence_path(sequence, station, "frame", suffix), encode=lambda: encoded)
    if frame.image is None:
        return None
    image = frame.image
    return EvidenceFile(
        path=evidence_path(sequence, station, "frame", "png"),
        encode=lambda: encode_png(image[..., ::-1] if image.ndim == 3 else image),
    )


def map_file(score_map: NDArray[np.float32], map_max: float, sequence: int, station: str) -> EvidenceFile:
    """The map as 8-bit greyscale PNG; 255 stands for `map_max` and above."""
    return EvidenceFile(
        path=evidence_path(sequence, station, "map", "png"),
        encode=lambda: encode_png(grey_map(score_map, map_max)),
    )


def grey_map(score_map: NDArray[np.float32], map_max: float) -> NDArray[np.uint8]:
    """A map as uint8 [h, w]; what is not a number shows as full scale: unsure is never dark."""
    scaled = np.nan_to_num(score_map / np.float32(map_max), nan=1.0, posinf=1.0, neginf=0.0)
    grey: NDArray[np.uint8] = np.round(255 * np.clip(scaled, 0, 1)).astype(np.uint8)
    return grey


def full_scale(score_map: NDArray[np.float32]) -> float:
    """A map's own maximum, to show it at full scale; 1 where it has none above 0."""
    numbers = score_map[np.isfinite(score_map)]
    highest = float(numbers.max()) if numbers.size else 0.0
    return highest if highest > 0 else 1.0


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """PNG bytes of grey or BGR pixels.

    Raises:
        ValueError: pixels that no PNG can hold.
    """
    is_done, encoded = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not is_done:
        raise ValueError(f"no PNG of {image.shape}")
    return encoded.tobytes()


class EvidenceWriter:
    """Writes evidence on a thread of its own, behind a bounded queue."""

    def __init__(
        self, folder: Path, hub: EventHub, alarms: AlarmBoard, *, depth: int, keep_parts: int
    ) -> None:
        self._folder = folder
        self._hub = hub
        self._alarms = alarms
        self._keep_parts = keep_parts
        self._jobs: queue.Queue[tuple[int, list[EvidenceFile]] | None] = queue.Queue(depth)
        self._thread: threading.Thread | None = None
        self._bucket = -1
        self.dropped = 0
        self.failed = 0

    def start(self) -> None:
        """Starts the thread."""
        self._thread = threading.Thread(target=self._run, name="evidence", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Writes what waits, and ends."""
        if self._thread is None:
            return
        try:
            self._jobs.put(None, timeout=timeout_s)
        except queue.Full:
            logger.exception("evidence that still waits is not written")
        self._thread.join(timeout_s)

    def offer(self, sequence: int, files: list[EvidenceFile]) -> bool:
        """Queues a part's files; False where there is no room, so that they will not exist."""
        try:
            self._jobs.put_nowait((sequence, files))
        except queue.Full:
            self.dropped += 1
            self._alarms.raise_alarm(
                "evidence", "images cannot be written as fast as parts come", lasts=False
            )
            return False
        return True

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            sequence, files = job
            try:
                for file in files:
                    path = self._folder / file.path
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(file.encode())
                self._hub.emit(EvidenceStored(sequence=sequence))
                self._prune(sequence)
            except Exception as error:
                self.failed += 1
                logger.exception("evidence of part %d was not written", sequence)
                self._alarms.raise_alarm("evidence", f"images cannot be written: {error}", lasts=False)

    def _prune(self, sequence: int) -> None:
        bucket = sequence // BUCKET
        if bucket == self._bucket or not self._keep_parts:
            return
        self._bucket = bucket
        oldest = max(0, sequence - self._keep_parts) // BUCKET
        for folder in (self._folder / "evidence").iterdir():
            if folder.name.isdecimal() and int(folder.name) < oldest:
                shutil.rmtree(folder, ignore_errors=True)
