"""Folders on disk as a tree, and what is common to every tree: which names are let in."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from .contract import MAX_NAME, FormatError, Refusal, Tree, Unreadable

_JUNK_FILES: Final = {"thumbs.db", "desktop.ini"}
_JUNK_FOLDERS: Final = {"__macosx", "@eadir"}
_MASK: Final = re.compile(r"(?P<stem>.+)_(mask|label)\.(png|bmp|tif|tiff)", re.IGNORECASE)


def is_junk(name: str) -> bool:
    """Whether a system left this behind: nobody brought it, so nobody is told of it."""
    parts = [part.casefold() for part in PurePosixPath(name).parts]
    if any(part in _JUNK_FOLDERS or (part.startswith(".") and part != "..") for part in parts):
        return True
    return bool(parts) and parts[-1] in _JUNK_FILES


def reason_against(name: str) -> str | None:
    """Why a file of this name is not let in, or None. Names are never trusted, whoever wrote them."""
    path = PurePosixPath(name)
    if path.is_absolute() or (len(name) > 1 and name[1] == ":"):
        return "Its name is absolute; only names inside the source are taken."
    if ".." in path.parts:
        return "Its name leads out of the source (“..”)."
    if len(name) > MAX_NAME:
        return f"Its name has {len(name)} letters; at most {MAX_NAME} are taken."
    if not name.isprintable():
        return "Its name holds letters that can't be shown; rename it."
    return None


def masks_among(names: Sequence[str]) -> set[str]:
    """Files named after another one with _mask or _label behind: they show where its defect is."""
    stems = {name.rsplit(".", 1)[0] for name in names}
    return {name for name in names if (match := _MASK.fullmatch(name)) and match["stem"] in stems}


def too_long(size_bytes: int, max_bytes: int) -> Unreadable:
    return Unreadable(
        f"The file has {size_bytes / 1e6:,.1f} MB; at most {max_bytes / 1e6:,.1f} MB are taken."
    )


class FolderTree:
    """A folder on this machine. Links to files are followed, links to folders are not (they may go round)."""

    def __init__(self, root: Path) -> None:
        """Lists the folder.

        Raises:
            FormatError: there is no such folder, or it can't be listed.
        """
        if not root.is_dir():
            raise FormatError(f"There is no folder “{root}”.")
        self._root = root
        self.refusals: list[Refusal] = []
        self.names: list[str] = sorted(self._accepted())
        self._known = set(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def size(self, name: str) -> int:
        try:
            return (self._root / name).stat().st_size
        except OSError:
            return 0

    def read(self, name: str, max_bytes: int) -> bytes:
        try:
            with (self._root / name).open("rb") as stream:
                content = stream.read(max_bytes + 1)
        except OSError as error:
            raise Unreadable(f"It can't be read ({error.strerror}).") from error
        if len(content) > max_bytes:
            raise too_long(self.size(name), max_bytes)
        return content

    def _accepted(self) -> Iterator[str]:
        def stop(error: OSError) -> None:
            raise FormatError(f"“{error.filename}” can't be listed ({error.strerror}).")

        for folder, folders, files in os.walk(self._root, onerror=stop):
            here = Path(folder)
            folders[:] = sorted(folders)
            for linked in [name for name in folders if (here / name).is_symlink()]:
                self._refuse(here / linked, "It is a link to a folder; links to folders are not followed.")
            for file in files:
                yield from self._accepted_file(here / file)

    def _accepted_file(self, path: Path) -> Iterator[str]:
        name = path.relative_to(self._root).as_posix()
        if is_junk(name):
            return
        reason = reason_against(name)
        if reason is None and not path.is_file():
            reason = "It is no ordinary file, or a link that leads nowhere."
        if reason:
            self._refuse(path, reason)
        else:
            yield name

    def _refuse(self, path: Path, reason: str) -> None:
        name = path.relative_to(self._root).as_posix()
        self.refusals.append(Refusal(ascii(name)[1:-1] if not name.isprintable() else name, reason))


class Subtree:
    """One folder of a tree as a tree of its own."""

    def __init__(self, tree: Tree, folder: str) -> None:
        self._tree = tree
        self._prefix = f"{folder}/"
        self.refusals: Sequence[Refusal] = tree.refusals
        self.names: list[str] = [
            name.removeprefix(self._prefix) for name in tree.names if name.startswith(self._prefix)
        ]

    def __contains__(self, name: object) -> bool:
        return f"{self._prefix}{name}" in self._tree

    def size(self, name: str) -> int:
        return self._tree.size(self._prefix + name)

    def read(self, name: str, max_bytes: int) -> bytes:
        return self._tree.read(self._prefix + name, max_bytes)


def unwrapped(tree: Tree) -> Tree:
    """Without the folders that merely wrap the rest, as zipping a folder makes them.

    A sole top folder wraps when it holds a labels.csv or nothing but folders; one that holds images itself
    may be a class and stays. `train` and `test` are never wrappers.
    """
    while True:
        tops = {name.split("/", 1)[0] for name in tree.names}
        if len(tops) != 1 or not all("/" in name for name in tree.names):
            return tree
        top = tops.pop()
        inner = Subtree(tree, top)
        holds_files = any("/" not in name for name in inner.names)
        if top in {"train", "test"} or (holds_files and "labels.csv" not in inner):
            return tree
        tree = inner
