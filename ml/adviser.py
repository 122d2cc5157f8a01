"""Which method for these images? From counts alone; needs come from the methods' own declarations.

Imports no torch and no Django.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ml.methods.contract import Counts, NotEnoughImages, check_needs
from ml.methods.declarations import MethodDeclaration

MOST_PROPOSALS: Final = 2
STEADY_OK: Final = 50  # OK images from which a one-class method's scores are steady: the papers' own number
MUCH_SMALLER: Final = 4  # an input so many times smaller than the image loses small defects


@dataclass(frozen=True)
class DatasetFacts:
    """What is known of a dataset before anything is trained.

    Attributes:
        ok: labelled OK images.
        by_type: labelled NG images by defect type.
        unlabelled: images that nobody has labelled.
        views: different views of a part; 1 where none is named.
        height: of most images, pixels; 0 without any.
        width: likewise.
        has_region: whether a region of interest is set.
    """

    ok: int
    by_type: Mapping[str, int]
    unlabelled: int = 0
    views: int = 1
    height: int = 0
    width: int = 0
    has_region: bool = False

    @property
    def ng(self) -> int:
        return sum(self.by_type.values())

    @property
    def types(self) -> int:
        return len(self.by_type)


@dataclass(frozen=True)
class Proposal:
    """A method to begin with: why, and what to mind (often empty)."""

    method: str
    title: str
    reason: str
    caution: str


@dataclass(frozen=True)
class Opening:
    """A method that this dataset can't train yet, or not to its best, and what would open it."""

    method: str
    title: str
    text: str


@dataclass(frozen=True)
class Advice:
    """The best first; at most `MOST_PROPOSALS`. Openings in the order of the methods."""

    proposals: list[Proposal]
    openings: list[Opening]


@dataclass(frozen=True)
class _Case:
    """When a method is the right one.

    Attributes:
        rank: how well it suits; 0 where it does not.
        reason: why, in a sentence.
        gain: what it would bring, as a sentence without its stop.
        otherwise: what to do for it to suit, where its needs are met and it does not.
    """

    rank: Callable[[DatasetFacts], int]
    reason: Callable[[DatasetFacts], str]
    gain: str
    otherwise: str = ""


def _ok_alone(facts: DatasetFacts) -> str:
    seen = "no NG image" if not facts.ng else _count(facts.ng, "NG image")
    return (
        f"{_count(facts.ok, 'OK image')} and {seen}: it learns from OK images alone, and finds what is new."
    )


_CASES: Final[Mapping[str, _Case]] = {
    "multipath_vgg": _Case(
        rank=lambda facts: 5 if facts.types >= 2 else 0,
        reason=lambda facts: f"{facts.types} defect types are labelled: it says which one a part has.",
        gain="it tells defect types apart",
        otherwise="Name the defect types.",
    ),
    "weak": _Case(
        rank=lambda _facts: 4,
        reason=lambda facts: (
            f"{_count(facts.ok, 'OK image')} and {_count(facts.ng, 'NG image')}, labelled as whole images: "
            "it learns from scratch where the defect is, however small."
        ),
        gain="it shows where the defect is, from labels of whole images",
    ),
    "transfer_vgg": _Case(
        rank=lambda facts: 5 if facts.views > 1 else 3,
        reason=lambda facts: (
            f"{facts.views} views of a part: it learns fast from ImageNet weights, each view in its region."
            if facts.views > 1
            else "Enough of both kinds: it learns fast from ImageNet weights."
        ),
        gain="it learns within minutes from ImageNet weights",
    ),
    "maa": _Case(rank=lambda _facts: 2, reason=_ok_alone, gain="it needs no NG image"),
    "grad_mobilenet": _Case(
        rank=lambda facts: 3 if facts.unlabelled and facts.types < 2 else 0 if facts.ng else 1,
        reason=lambda facts: (
            f"{_count(facts.unlabelled, 'unlabelled image')}: beside OK or NG it sorts them by kind, for you "
            "to name."
            if facts.unlabelled and facts.types < 2
            else "OK images alone are enough: it is the quickest to train."
        ),
        gain="it sorts unlabelled NG images by kind",
        otherwise="Bring NG images that nobody has sorted.",
    ),
}


def advise(facts: DatasetFacts, methods: Mapping[str, MethodDeclaration], *, held_out_share: float) -> Advice:
    """One or two methods with the reason, and what more data would open.

    Args:
        facts: of the dataset.
        methods: those that can be trained here; others are not mentioned.
        held_out_share: of the images that a split keeps to measure with; the rest must meet the needs.
    """
    ranked: list[tuple[int, Proposal]] = []
    openings = []
    for name, case in _CASES.items():
        if name not in methods:
            continue
        declared = methods[name]
        short = missing(declared, facts, held_out_share)
        if short:
            openings.append(Opening(name, declared.title, f"{short} {_capital(case.gain)}."))
        elif rank := case.rank(facts):
            caution = _caution(declared, facts)
            ranked.append((rank, Proposal(name, declared.title, case.reason(facts), caution)))
        else:
            openings.append(Opening(name, declared.title, f"{case.otherwise} {_capital(case.gain)}."))
    ranked.sort(key=lambda one: -one[0])  # stable: of equals the table's order
    return Advice([proposal for _rank, proposal in ranked[:MOST_PROPOSALS]], openings)


def missing(declared: MethodDeclaration, facts: DatasetFacts, held_out_share: float) -> str:
    """What must be added for the training part of a split to meet the needs; empty where it does."""
    kept = 1 - held_out_share
    needs = declared.needs
    by_class = {"OK": facts.ok, **facts.by_type}
    training = Counts(
        ok=_part(facts.ok, kept),
        ng=_part(facts.ng, kept),
        by_class={name: _part(count, kept) for name, count in by_class.items()},
    )
    try:
        check_needs(needs, training)
    except NotEnoughImages:
        more = [
            f"{_whole(need, kept) - there} more {kind}"
            for kind, need, there in (("OK", needs.ok, facts.ok), ("NG", needs.ng, facts.ng))
            if _part(there, kept) < need
        ]
        more += [
            f"{_whole(needs.per_class, kept) - there} more of {name}"
            for name, there in by_class.items()
            if _part(there, kept) < needs.per_class and not (name == "OK" and needs.ok >= needs.per_class)
        ]
        return f"Label {_listed(more)} (some are held out to measure with)."
    return ""


def _caution(declared: MethodDeclaration, facts: DatasetFacts) -> str:
    cautions = []
    if declared.is_one_class and facts.ok < STEADY_OK:
        cautions.append(f"Its scores are steady from about {STEADY_OK} OK images on.")
    side = _input_side(declared)
    if side and not facts.has_region and max(facts.height, facts.width) >= MUCH_SMALLER * side:
        cautions.append(
            f"It shrinks your {facts.height} × {facts.width} px to {side} px: set a region of interest, or "
            "small defects are lost."
        )
    return " ".join(cautions)


def _input_side(declared: MethodDeclaration) -> int:
    """The longer side of the network's input as the method has it by default; 0 where it does not say."""
    fields = declared.Parameters.model_fields
    sides = [fields[name].default for name in ("height", "width", "size") if name in fields]
    return max((side for side in sides if isinstance(side, int)), default=0)


def _part(count: int, kept: float) -> int:
    return math.floor(count * kept + 1e-9)


def _whole(needed: int, kept: float) -> int:
    """The fewest images of which the training part is as many as needed."""
    return math.ceil(needed / kept - 1e-9)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
