"""Layout `mvtec`: train/good, test/good and test/<defect> are images, ground_truth holds masks.

Of MVTec AD and the sets that copy it; `validation/good` is known from some of these.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from .classes import UnclearClass, meaning_of, refuse_too_many
from .contract import Entry, FormatError, Listing, Refusal, Tree

_SPLITS: Final = {"train", "test", "validation"}
_DOCUMENTS: Final = {".txt", ".md", ".pdf", ".json"}


class MvtecReader:
    name = "mvtec"

    def recognise(self, tree: Tree) -> str | None:
        splits = {name.split("/", 1)[0] for name in tree.names if name.count("/") >= 2}
        if "train" in splits and "test" in splits:
            return "There are the folders train and test with one folder per class in each, as in MVTec AD."
        if _products(tree):
            return "There are several products, each with the folders train and test of MVTec AD."
        return None

    def read(self, tree: Tree) -> Listing:
        products = _products(tree)
        if products:
            raise FormatError(
                f"This holds several products ({', '.join(products[:5])}); a dataset holds one. "
                "Import them one at a time."
            )
        images = [name for name in tree.names if _is_candidate(name)]
        if not any(_class_folder(name) for name in images):
            raise FormatError("There is neither train/good nor test/<defect>, so this is no MVTec AD tree.")
        refuse_too_many(folder for folder in map(_class_folder, images) if folder)
        return Listing(len(images), self._entries(images))

    def _entries(self, images: list[str]) -> Iterator[Entry | Refusal]:
        for name in images:
            folder = _class_folder(name)
            if folder is None:
                yield Refusal(name, "It lies outside train/<class> and test/<class>.")
                continue
            try:
                yield Entry(name, meaning_of(folder))
            except UnclearClass as error:
                yield Refusal(name, error.reason)


def _is_candidate(name: str) -> bool:
    is_document = "/" not in name and PurePosixPath(name).suffix.casefold() in _DOCUMENTS
    return not is_document and not name.startswith("ground_truth/")


def _class_folder(name: str) -> str | None:
    parts = name.split("/")
    return parts[1] if len(parts) >= 3 and parts[0] in _SPLITS else None


def _products(tree: Tree) -> list[str]:
    """Top folders that hold an MVTec tree each, where there are several."""
    found = {
        parts[0] for parts in (name.split("/") for name in tree.names) if parts[1:3] == ["train", "good"]
    }
    return sorted(found) if len(found) > 1 else []
