"""Which images belong together, so that no split parts them: one part, the same content, near-identical."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from annotation.services.fingerprints import add_missing_fingerprints
from ml.evaluation.lookalikes import find_lookalikes
from ml.evaluation.splits import joined_groups
from ml.selectors.images import LabelledImage

EXAMPLES: Final = 3


@dataclass(frozen=True)
class Grouping:
    """What belongs together among N images.

    Attributes:
        groups: [N], the group of each image.
        entry: what was grouped and why, for snapshot and report; "sentences" says it to a person.
    """

    groups: list[str]
    entry: dict[str, Any]


def group_images(
    images: Sequence[LabelledImage], parts: Mapping[int, str], views: Mapping[int, str], files: int
) -> Grouping:
    """Groups of images that share a part, or look near-identical within a view.

    Byte-identical files are one image from the start, and join the parts that they came under. Takes seconds
    for 100,000 images, and is called in no transaction: on SQLite it would hold up every writer.

    Args:
        images: at least one.
        parts: by image id, the part that it belongs to.
        views: of the images that have one, by id.
        files: that the images came in.
    """
    limits, pairs = _lookalike_pairs(images, views)
    alike = joined_groups(len(images), [], pairs)
    first_of = joined_groups(len(images), [[parts[image.id] for image in images]], pairs)
    return Grouping(
        groups=[parts[images[first].id] for first in first_of],
        entry=_entry(images, alike, limits, files - len(images)),
    )


def _lookalike_pairs(
    images: Sequence[LabelledImage], views: Mapping[int, str]
) -> tuple[dict[str, int | None], list[tuple[int, int]]]:
    """The limit of each view, and pairs of numbers of `images`; other views show another side of a part."""
    missing = add_missing_fingerprints([image.id for image in images if not image.fingerprint])
    of_view: dict[str, list[int]] = defaultdict(list)
    for number, image in enumerate(images):
        of_view[views.get(image.id, "")].append(number)
    limits: dict[str, int | None] = {}
    pairs: list[tuple[int, int]] = []
    for view, numbers in of_view.items():
        hashes = [images[number].fingerprint or missing.get(images[number].id, "") for number in numbers]
        found = find_lookalikes(hashes)
        limits[view] = found.limit
        pairs += [(numbers[one], numbers[other]) for one, other in found.pairs.tolist()]
    return limits, pairs


def _entry(
    images: Sequence[LabelledImage], alike: Sequence[int], limits: Mapping[str, int | None], copies: int
) -> dict[str, Any]:
    members: dict[int, list[LabelledImage]] = defaultdict(list)
    for image, first in zip(images, alike, strict=True):
        members[first].append(image)
    groups = [group for group in members.values() if len(group) > 1]
    mixed = [group for group in groups if len({image.is_ng for image in group}) > 1]
    entry = {
        "byte_identical_files": copies,
        "near_identical_groups": len(groups),
        "near_identical_images": sum(map(len, groups)),
        "of_both_kinds": len(mixed),
        "bits_apart": dict(limits),
        "examples": [[image.name for image in group[:EXAMPLES]] for group in groups[:EXAMPLES]],
        "examples_of_both_kinds": [[image.name for image in group[:EXAMPLES]] for group in mixed[:EXAMPLES]],
    }
    return entry | {"sentences": _sentences(entry)}


def _sentences(entry: Mapping[str, Any]) -> list[str]:
    sentences = []
    if copies := entry["byte_identical_files"]:
        sentences.append(f"{copies} byte-identical {'file is' if copies == 1 else 'files are'} counted once.")
    if groups := entry["near_identical_groups"]:
        what = "1 group" if groups == 1 else f"{groups} groups"
        sentences.append(
            f"{what} of near-identical images ({entry['near_identical_images']} images) "
            f"{'was' if groups == 1 else 'were each'} kept on one side: {_named(entry['examples'], groups)}"
        )
    if mixed := entry["of_both_kinds"]:
        sentences.append(
            f"{mixed} of them {'holds' if mixed == 1 else 'hold'} both OK and NG images; look at their "
            f"labels: {_named(entry['examples_of_both_kinds'], mixed)}"
        )
    blind = [view for view, limit in entry["bits_apart"].items() if limit is None]
    if blind:
        where = f" of view {', '.join(sorted(blind))}" if blind != [""] else ""
        sentences.append(
            f"The images{where} are too much alike for near-identical ones to be told from merely similar "
            "ones: only parts (item) and byte-identical files were kept together."
        )
    return sentences


def _named(examples: Sequence[Sequence[str]], count: int) -> str:
    named = "; ".join(" = ".join(names) for names in examples)
    return f"{named}." if count <= len(examples) else f"{named}; …"
