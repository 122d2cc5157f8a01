"""Where a station's frames come from. One bad file is a bad frame, never the end of the source."""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from inspection.line.config import (
    ConfigError,
    FolderSource,
    PushSource,
    ReplayItem,
    ReplaySource,
    StationConfig,
)
from inspection.line.folder import IMAGE_SUFFIXES, FolderWatch
from inspection.line.frames import Frame, frame_from_bytes

logger = logging.getLogger(__name__)

Sink = Callable[[Frame], bool]
"""Takes a frame; False where it has no room for it now."""


class Source(Protocol):
    """A station's camera, or what stands for it.

    A triggered source is asked for one frame a part (`grab`); any other hands its frames to the sink as they
    come.
    """

    is_triggered: bool

    def start(self, sink: Sink) -> None:
        """Begins; frames go to `sink` from a thread of the source's own."""
        ...

    def stop(self, timeout_s: float = 5.0) -> None:
        """Ends, and waits for the thread."""
        ...

    def grab(self, sequence: int, timeout_s: float) -> Frame | None:
        """One frame now, for the trigger `sequence`; None where none came within `timeout_s`."""
        ...


def read_frame(item: ReplayItem) -> Frame:
    """The frame in a file; a bad frame where it cannot be read."""
    path = Path(item.path)
    name = item.name or path.name
    try:
        encoded = path.read_bytes()
    except OSError as error:
        return Frame(
            image=None, name=name, reference=item.reference, error=f"cannot be read: {error.strerror}"
        )
    return frame_from_bytes(encoded, name, reference=item.reference)


class Replay:
    """Replays files: one a trigger, or at a rate. In seeded order each round is a new permutation.

    Args:
        config: which files, in which order.
        is_numbered: frames at a rate carry a number, so that the stations of a line, each of which replays,
            show the same part also after one of them left one out.
    """

    def __init__(self, config: ReplaySource, *, is_numbered: bool = False) -> None:
        self.is_triggered = config.rate_hz is None
        self._is_numbered = is_numbered
        self._config = config
        self._items: Iterator[ReplayItem] = iter(())
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, sink: Sink) -> None:
        """Begins.

        Raises:
            ConfigError: there is nothing to replay.
        """
        items = self._config.items or self._listed()
        if not items:
            raise ConfigError(f"nothing to replay in {self._config.folder}")
        self._items = self._rounds(items)
        if self._config.rate_hz is not None:
            period_s = 1 / self._config.rate_hz
            self._thread = threading.Thread(
                target=self._run, args=(sink, period_s), name="replay", daemon=True
            )
            self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Ends."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def grab(self, sequence: int, timeout_s: float) -> Frame | None:
        """The next file's frame; None after the last."""
        item = next(self._items, None)
        return None if item is None else read_frame(item)

    def _listed(self) -> list[ReplayItem]:
        folder = Path(self._config.folder or "")
        paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        return [ReplayItem(path=str(path)) for path in paths]

    def _rounds(self, items: list[ReplayItem]) -> Iterator[ReplayItem]:
        index = 0
        while index == 0 or self._config.loop:
            order = list(items)
            if self._config.order == "seeded":
                random.Random(f"{self._config.seed}/{index}").shuffle(order)  # noqa: S311 - an order, no secret
            yield from order
            index += 1

    def _run(self, sink: Sink, period_s: float) -> None:
        due_s = time.monotonic()
        for number, item in enumerate(self._items, 1):
            if self._stopping.wait(max(0.0, due_s - time.monotonic())):
                return
            frame = read_frame(item)
            if not sink(replace(frame, trigger_sequence=number) if self._is_numbered else frame):
                logger.debug("no room for %s: a part is left out", item.path)
            due_s = max(due_s + period_s, time.monotonic() - period_s)


class Push:
    """Frames that the caller hands over."""

    is_triggered = False

    def __init__(self, config: PushSource) -> None:
        self._sink: Sink | None = None

    def start(self, sink: Sink) -> None:
        """Begins."""
        self._sink = sink

    def stop(self, timeout_s: float = 5.0) -> None:
        """Ends: later frames are refused."""
        self._sink = None

    def grab(self, sequence: int, timeout_s: float) -> Frame | None:
        """A pushed frame cannot be asked for."""
        return None

    def push(self, frame: Frame) -> bool:
        """Hands a frame over; False where the line has no room for it, or does not run."""
        sink = self._sink
        return sink is not None and sink(frame)


class Folder:
    """Watches a folder that a camera writes into, and takes each file when it is whole."""

    is_triggered = False

    def __init__(self, config: FolderSource, *, takes_old_files: bool) -> None:
        self._config = config
        self._watch = FolderWatch(config)
        self._takes_old_files = takes_old_files
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, sink: Sink) -> None:
        """Begins.

        Raises:
            ConfigError: the folder cannot be made or used.
        """
        try:
            self._watch.open(takes_old_files=self._takes_old_files)
        except OSError as error:
            raise ConfigError(f"{self._config.folder}: {error.strerror}") from error
        self._thread = threading.Thread(target=self._run, args=(sink,), name="folder-watch", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Ends."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def grab(self, sequence: int, timeout_s: float) -> Frame | None:
        """A file cannot be asked for."""
        return None

    def _run(self, sink: Sink) -> None:
        while not self._stopping.wait(self._config.poll_s):
            try:
                for whole in self._watch.poll(time.monotonic()):
                    if self._stopping.is_set() or not sink(whole.frame):
                        break
                    self._watch.finish(whole)
            except OSError:
                logger.exception("the watched folder %s cannot be read", self._config.folder)
                self._stopping.wait(1.0)


def make_sources(stations: list[StationConfig], *, takes_old_files: bool) -> dict[str, Source]:
    """The sources that the stations' settings name, by station.

    Args:
        stations: the line's.
        takes_old_files: whether a watched folder's images from before the start are parts; at a machine those
            parts are long gone.
    """
    is_replay = all(isinstance(station.source, ReplaySource) for station in stations)
    sources: dict[str, Source] = {}
    for station in stations:
        config = station.source
        if isinstance(config, ReplaySource):
            sources[station.name] = Replay(config, is_numbered=is_replay)
        elif isinstance(config, FolderSource):
            sources[station.name] = Folder(config, takes_old_files=takes_old_files)
        else:
            sources[station.name] = Push(config)
    return sources
