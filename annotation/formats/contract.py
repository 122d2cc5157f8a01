"""What every layout's reader takes and gives.

A reader knows how one way of laying out a labelled data set is read; it looks at names and at small side
files (a table, a mask), never at the images' pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from annotation.errors import DomainError

MAX_NAME: Final = 400
MAX_ITEM: Final = 200
MAX_VIEW: Final = 60
MAX_CLASS: Final = 60
MAX_CLASSES: Final = 100


class FormatError(DomainError):
    """The source as a whole can't be used; the text says why and what to do."""

    code = "unusable_source"


class Unreadable(Exception):
    """One file of a tree can't be read. `reason` is a sentence for the person who brought it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Entry:
    """One image file of a source, and what the source says of it.

    Attributes:
        path: its name below the tree's root, with forward slashes.
        class_name: "OK", "NG" (the kind of defect is not said), a defect class, or None for unlabelled.
        item: the physical part it shows, or empty.
        view: which view of the part, or empty.
        sha256: what the source says its content's SHA-256 is, or empty.
    """

    path: str
    class_name: str | None = None
    item: str = ""
    view: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Refusal:
    """A file that can't be used, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """All that a source holds, in an order that is the same on every reading.

    Attributes:
        count: how many `entries` will give.
        entries: the files, lazily.
    """

    count: int
    entries: Iterator[Entry | Refusal]


class Tree(Protocol):
    """A folder of files, wherever it lies. Names are relative, with forward slashes, sorted."""

    @property
    def names(self) -> Sequence[str]:
        """Every file that may be read; what systems leave behind (.DS_Store, Thumbs.db) is not among them."""

    @property
    def refusals(self) -> Sequence[Refusal]:
        """Files that are not among `names` because of their name or kind."""

    def __contains__(self, name: object) -> bool: ...

    def size(self, name: str) -> int:
        """Its length in bytes, as far as is known without reading it."""

    def read(self, name: str, max_bytes: int) -> bytes:
        """Its content. Safe to call from several threads.

        Raises:
            Unreadable: it is longer than `max_bytes`, damaged or can't be read.
        """


class Reader(Protocol):
    """One layout."""

    name: str

    def recognise(self, tree: Tree) -> str | None:
        """Why this tree looks like this layout, as a sentence; None when it does not."""

    def read(self, tree: Tree) -> Listing:
        """Every image file with its class, item and view.

        Raises:
            FormatError: the tree is not of this layout, or its table can't be read.
        """
