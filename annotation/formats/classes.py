"""What the words in tables and folder names mean as classes."""

from collections.abc import Iterable
from typing import Final

from .contract import MAX_CLASS, MAX_CLASSES, FormatError

OK: Final = "OK"
NG: Final = "NG"

_OK_WORDS: Final = {"ok", "good", "free", "defect-free", "defect_free", "no_defect", "normal", "pass"}
_NG_WORDS: Final = {"ng", "nok", "bad", "defect", "defective", "anomaly", "fail"}
_UNLABELLED_WORDS: Final = {"", "unlabelled", "unlabeled", "unknown", "unsorted"}


class UnclearClass(Exception):
    """A word that can't be taken as a class. `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def meaning_of(word: str) -> str | None:
    """The class that a word of a person or a public data set means.

    Returns:
        "OK", "NG" (a defect of unsaid kind), the word itself as a defect class, or None for unlabelled.

    Raises:
        UnclearClass: a bare number (0 may be either), or a name longer than 60 letters.
    """
    word = word.strip()
    if word.casefold() in _UNLABELLED_WORDS:
        return None
    if word.casefold() in _OK_WORDS:
        return OK
    if word.casefold() in _NG_WORDS:
        return NG
    if word.isdecimal():
        raise UnclearClass(f"“{word}” is no class: a bare number may mean OK or NG. Write OK, NG or a name.")
    if len(word) > MAX_CLASS:
        raise UnclearClass(f"The class name has {len(word)} letters; at most {MAX_CLASS} are taken.")
    return word


def class_of(label: str, class_word: str) -> str | None:
    """The one class that a table's label and its optional, finer class say together.

    Raises:
        UnclearClass: they contradict each other, or one of them is unclear.
    """
    coarse, fine = meaning_of(label), meaning_of(class_word)
    if fine is None:
        return coarse
    if coarse is None or coarse == fine or (coarse == NG and fine != OK):
        return fine
    if fine == NG and coarse != OK:
        return coarse
    raise UnclearClass(f"label “{label.strip()}” and class “{class_word.strip()}” contradict each other.")


def refuse_too_many(names: Iterable[str]) -> None:
    """Raises FormatError where the names would make more classes than anybody could mean."""
    count = len({name.casefold() for name in names})
    if count > MAX_CLASSES:
        raise FormatError(
            f"This would make {count} classes; at most {MAX_CLASSES} are taken. "
            "Is it one folder or name per part rather than per class? Then write a labels.csv."
        )
