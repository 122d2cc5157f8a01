"""Layouts `folders` (one folder per class) and `plain` (images without labels)."""

from collections.abc import Iterator

from .classes import UnclearClass, meaning_of, refuse_too_many
from .contract import Entry, Listing, Refusal, Tree
from .tree import masks_among


class FoldersReader:
    """The first folder of a name is its class; files outside any folder come in unlabelled."""

    name = "folders"

    def recognise(self, tree: Tree) -> str | None:
        folders = _top_folders(tree)
        if len(folders) > 1:
            shown = ", ".join(folders[:5]) + ("…" if len(folders) > 5 else "")
            return f"There is one folder per class: {shown}."
        if folders and _is_verdict(folders[0]):
            return f"All images lie in the folder {folders[0]}."
        return None

    def read(self, tree: Tree) -> Listing:
        refuse_too_many(_top_folders(tree))
        images = _without_masks(tree)
        return Listing(len(images), self._entries(images))

    def _entries(self, images: list[str]) -> Iterator[Entry | Refusal]:
        for name in images:
            folder = name.split("/", 1)[0] if "/" in name else ""
            try:
                yield Entry(name, meaning_of(folder))
            except UnclearClass as error:
                yield Refusal(name, error.reason)


class PlainReader:
    """Every image comes in unlabelled, whatever its folder."""

    name = "plain"

    def recognise(self, tree: Tree) -> str | None:
        folders = _top_folders(tree)
        if folders:
            return f"All images lie in the one folder “{folders[0]}”, which says nothing of their class."
        return "The images lie in no folders that could name their classes."

    def read(self, tree: Tree) -> Listing:
        images = _without_masks(tree)
        return Listing(len(images), (Entry(name) for name in images))


def _without_masks(tree: Tree) -> list[str]:
    masks = masks_among(tree.names)
    return [name for name in tree.names if name not in masks]


def _top_folders(tree: Tree) -> list[str]:
    return sorted({name.split("/", 1)[0] for name in tree.names if "/" in name})


def _is_verdict(folder: str) -> bool:
    try:
        return meaning_of(folder) in {"OK", "NG"}
    except UnclearClass:
        return False
