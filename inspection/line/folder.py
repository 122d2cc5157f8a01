"""Finding whole files in a folder that somebody else writes into."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from inspection.line.config import FolderSource
from inspection.line.frames import Frame, frame_from_bytes

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}
COMPRESSED = (b"\xff\xd8", b"\x89PNG", b"RIFF")


@dataclass
class _Seen:
    """A file as it was when last looked at."""

    size: int
    modified_ns: int
    first_s: float
    changed_s: float
    is_tried: bool = False


@dataclass(frozen=True, kw_only=True)
class WholeFile:
    """A file that is complete, or that will never be; its frame says which."""

    path: Path
    frame: Frame


class FolderWatch:
    """Looks at a folder again and again; no thread here.

    A file is whole when its size and time stood still for `settle_s` and it can be read to its end. One that
    stood still for `patience_s` and still cannot be read is a bad frame. What is not named as an image (one
    that is still written under another name, or a stranger's file) is left alone.
    """

    def __init__(self, config: FolderSource) -> None:
        self._config = config
        self._folder = Path(config.folder)
        self._seen: dict[Path, _Seen] = {}
        self._stuck: set[tuple[Path, int]] = set()

    def open(self, *, takes_old_files: bool) -> None:
        """Makes the folder; files that lie in it already are parts, or are set aside as missed.

        Raises:
            OSError: the folder cannot be used.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        if not takes_old_files:
            for path in self._files():
                self._move(path, "missed")

    def poll(self, now_s: float) -> Iterator[WholeFile]:
        """The files that are whole now, oldest first; each comes again until `finish`.

        Raises:
            OSError: the folder cannot be read.
        """
        paths = self._files()
        for path in self._seen.keys() - set(paths):
            del self._seen[path]
        for path in paths:
            self._look(path, now_s)
        for path, seen in sorted(self._seen.items(), key=lambda entry: (entry[1].modified_ns, entry[0])):
            frame = self._frame(path, seen, now_s)
            if frame is not None:
                yield WholeFile(path=path, frame=replace(frame, arrived_s=seen.first_s))

    def finish(self, whole: WholeFile) -> None:
        """The file was taken: moves it to `done` or `bad`, or removes it."""
        seen = self._seen.pop(whole.path, None)
        try:
            if whole.frame.error:
                self._move(whole.path, "bad")
            elif self._config.keep:
                self._move(whole.path, "done")
            else:
                whole.path.unlink()
        except OSError:
            logger.exception("%s was used but cannot be moved; it is not used again", whole.path)
            self._stuck.add((whole.path, seen.modified_ns if seen else 0))

    def _files(self) -> list[Path]:
        return [
            path
            for path in self._folder.iterdir()
            if not path.name.startswith(".") and path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
        ]

    def _look(self, path: Path, now_s: float) -> None:
        try:
            stat = path.stat()
        except FileNotFoundError:
            self._seen.pop(path, None)
            return
        seen = self._seen.get(path)
        if seen is None:
            if (path, stat.st_mtime_ns) not in self._stuck:
                self._seen[path] = _Seen(stat.st_size, stat.st_mtime_ns, now_s, now_s)
        elif (stat.st_size, stat.st_mtime_ns) != (seen.size, seen.modified_ns):
            seen.size, seen.modified_ns, seen.changed_s, seen.is_tried = (
                stat.st_size,
                stat.st_mtime_ns,
                now_s,
                False,
            )

    def _frame(self, path: Path, seen: _Seen, now_s: float) -> Frame | None:
        still_s = now_s - seen.changed_s
        is_last_try = still_s >= self._config.patience_s
        if still_s < self._config.settle_s or (seen.is_tried and not is_last_try):
            return None
        seen.is_tried = True
        try:
            encoded = path.read_bytes()
        except OSError as error:
            return (
                Frame(image=None, name=path.name, error=f"cannot be read: {error.strerror}")
                if is_last_try
                else None
            )
        frame = frame_from_bytes(encoded, path.name)
        if encoded.startswith(COMPRESSED) and encoded.endswith(bytes(16)):
            frame = replace(
                frame, image=None, error="the file ends in zeros: it was never written to its end"
            )
        return frame if is_last_try or not frame.error else None

    def _move(self, path: Path, where: str) -> None:
        target = self._folder / where
        target.mkdir(exist_ok=True)
        place, number = target / path.name, 1
        while place.exists():
            place, number = target / f"{path.stem}.{number}{path.suffix}", number + 1
        path.rename(place)
