"""Layout `kolektor`: kosNN/PartN.jpg with a mask beside it that shows where the defect is, if there is one.

The original KolektorSDD has PartN_label.bmp beside every image, black when the part is good; copies of it
have PartN_mask.png beside the NG images alone.
"""

import re
from collections.abc import Iterator
from typing import Final

from annotation.decoding import ImageRefused, decode_image

from .classes import NG, OK
from .contract import Entry, FormatError, Listing, Refusal, Tree, Unreadable

MAX_MASK_BYTES: Final = 50_000_000

_IMAGE: Final = re.compile(r"(?P<item>kos\d+)/Part\d+\.(jpg|jpeg|png|bmp)", re.IGNORECASE)
_MASK: Final = re.compile(r"kos\d+/Part\d+_(label\.bmp|mask\.png)", re.IGNORECASE)


class KolektorReader:
    name = "kolektor"

    def recognise(self, tree: Tree) -> str | None:
        if any(_IMAGE.fullmatch(name) for name in tree.names) and any(map(_MASK.fullmatch, tree.names)):
            return "There are folders kosNN with images PartN and masks beside them, as in KolektorSDD."
        return None

    def read(self, tree: Tree) -> Listing:
        if self.recognise(tree) is None:
            raise FormatError(
                "There are no folders kosNN with images PartN.jpg and masks PartN_label.bmp or "
                "PartN_mask.png, so this is no KolektorSDD tree."
            )
        files = [name for name in tree.names if "/" in name and not _MASK.fullmatch(name)]
        return Listing(len(files), self._entries(tree, files))

    def _entries(self, tree: Tree, files: list[str]) -> Iterator[Entry | Refusal]:
        for name in files:
            match = _IMAGE.fullmatch(name)
            if match is None:
                yield Refusal(name, "It is not named kosNN/PartN, as the images of KolektorSDD are.")
                continue
            try:
                yield Entry(name, NG if _shows_defect(tree, name) else OK, item=match["item"])
            except Unreadable as error:
                yield Refusal(name, f"Its mask can't be read, so its class is not known: {error.reason}")


def _shows_defect(tree: Tree, name: str) -> bool:
    """Whether a mask lies beside the image and marks at least one pixel."""
    stem = name.rsplit(".", 1)[0]
    for mask in (f"{stem}_label.bmp", f"{stem}_mask.png"):
        if mask not in tree:
            continue
        try:
            if decode_image(tree.read(mask, MAX_MASK_BYTES)).any():
                return True
        except ImageRefused as error:
            raise Unreadable(error.reason) from error
    return False
