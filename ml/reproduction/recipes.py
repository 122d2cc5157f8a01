"""The rows of the benchmarks' table: paper, data, split and settings of each. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal


@dataclass(frozen=True)
class PublicData:
    """A public dataset.

    Attributes:
        folder: below the data folder.
        name: of the dataset here.
        marks: what its folder holds, for the message where it is not found.
    """

    folder: str
    name: str
    marks: str


KOLEKTOR: Final = PublicData("kolektorsdd", "KolektorSDD", "folders kos01 to kos50 with Part0.jpg and so on")
MAGNETIC_TILE: Final = PublicData(
    "magnetic_tile", "Magnetic tile", "images and labels.csv (file, label, class)"
)


@dataclass(frozen=True)
class PaperFigure:
    """A figure to be set beside the paper's.

    Attributes:
        name: key of `ml.reproduction.pooling.FIGURES`.
        paper: as the paper has it, in the figure's own unit; None where it gives none.
    """

    name: str
    paper: str | None = None


@dataclass(frozen=True)
class Recipe:
    """One row.

    Attributes:
        name: what `reproduce` calls it.
        method: key of `ml.methods.declarations.METHODS`; it need not be part of this build.
        data: what it runs on.
        figures: the paper's first.
        folds: K folds, all held-out scores of a seed pooled; 0 for a hold-out of 30% of the groups.
        split_by: "group" keeps parts and copies of images together. "item" parts by item alone, as a paper
            did: byte-identical images under two items are then on both sides, and the figure is too good.
            "ok" is a hold-out of groups without any NG image; all groups with one are held out as well.
        ng_in_training: at most so many NG images in each fit; None for all. OK images are all in.
        overrides: parameters that make the row what it is, over whatever preset is chosen.
        note: what a reader must know beside the figure.
    """

    name: str
    method: str
    data: PublicData
    figures: tuple[PaperFigure, ...]
    folds: int
    split_by: Literal["group", "item", "ok"] = "group"
    ng_in_training: int | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    @property
    def finds_types(self) -> bool:
        """Its figures are of types found among the NG images, not of verdicts alone."""
        return any(figure.name.startswith("purity") for figure in self.figures)


_WEAK: Final = (
    PaperFigure("average_precision_by_fold", "0.995"),
    PaperFigure("overkill_at_full_recall_by_fold", "5"),
    PaperFigure("average_precision"),
    PaperFigure("overkill_at_full_recall"),
    PaperFigure("false_calls_at_best_f1", "1"),
    PaperFigure("auroc"),
)
_TYPES: Final = (
    "accuracy_of_types",
    "precision_of_types",
    "recall_of_types",
    "f1_of_types",
    "auroc_of_types",
)

_ALL: Final = (
    Recipe(
        name="weak-kolektor",
        method="weak",
        data=KOLEKTOR,
        figures=_WEAK,
        folds=3,
        note="33 NG images in training, as in the paper's table 6; ours are by group.",
    ),
    Recipe(
        name="weak-kolektor-leaky",
        method="weak",
        data=KOLEKTOR,
        figures=_WEAK,
        folds=3,
        split_by="item",
        note="By item, as published: copies of images are on both sides. Not to be compared with the others.",
    ),
    Recipe(
        name="weak-kolektor-5ng",
        method="weak",
        data=KOLEKTOR,
        figures=(
            PaperFigure("average_precision_by_fold", "0.9796"),
            PaperFigure("overkill_at_full_recall_by_fold"),
            PaperFigure("average_precision"),
            PaperFigure("auroc"),
        ),
        folds=3,
        ng_in_training=5,
        note="Five NG images in each training, from as few parts as hold them. The paper gives the AP alone.",
    ),
    Recipe(
        name="maa-kolektor",
        method="maa",
        data=KOLEKTOR,
        figures=(PaperFigure("auroc", "0.857"), PaperFigure("average_precision")),
        folds=0,
        note="7:3; another seed is another split. The paper's table has GANomaly at 0.711 and ViDi at 0.750.",
    ),
    Recipe(
        name="dae-kolektor",
        method="maa",
        data=KOLEKTOR,
        figures=(PaperFigure("auroc", "0.711"), PaperFigure("average_precision")),
        folds=0,
        overrides={"architecture": "dae"},
        note="The baseline of maa, with the same code: encoder and decoder alone.",
    ),
    Recipe(
        name="dae-skip-kolektor",
        method="maa",
        data=KOLEKTOR,
        figures=(PaperFigure("auroc", "0.699"), PaperFigure("average_precision")),
        folds=0,
        overrides={"architecture": "dae_skip"},
        note="The baseline of maa with skip connections.",
    ),
    Recipe(
        name="multipath-tile",
        method="multipath_vgg",
        data=MAGNETIC_TILE,
        figures=(
            PaperFigure(_TYPES[0], "0.9267"),
            PaperFigure(_TYPES[1], "0.9849"),
            *(PaperFigure(name) for name in _TYPES[2:4]),
            PaperFigure(_TYPES[4], "0.9761"),
        ),
        folds=10,
        overrides={"branches": True},
    ),
    Recipe(
        name="vgg19-tile",
        method="multipath_vgg",
        data=MAGNETIC_TILE,
        figures=(
            PaperFigure(_TYPES[0], "0.7732"),
            PaperFigure(_TYPES[1], "0.7052"),
            *(PaperFigure(name) for name in _TYPES[2:4]),
            PaperFigure(_TYPES[4], "0.8916"),
        ),
        folds=10,
        overrides={"branches": False},
        note="The paper's own baseline: the same code without the branches.",
    ),
    Recipe(
        name="gradmobilenet-kolektor",
        method="grad_mobilenet",
        data=KOLEKTOR,
        figures=(PaperFigure("auroc"), PaperFigure("accuracy"), PaperFigure("average_precision")),
        folds=3,
        note="The paper's 0.98 for OK and for NG is on private data.",
    ),
    Recipe(
        name="gradmobilenet-tile",
        method="grad_mobilenet",
        data=MAGNETIC_TILE,
        figures=(PaperFigure("auroc"), PaperFigure("accuracy"), PaperFigure("average_precision")),
        folds=3,
        note="The paper's 0.98 for OK and for NG is on private data.",
    ),
    Recipe(
        name="types-tile",
        method="grad_mobilenet",
        data=MAGNETIC_TILE,
        figures=(PaperFigure("purity_of_types"), PaperFigure("purity_of_pixels"), PaperFigure("auroc")),
        folds=0,
        split_by="ok",
        note="Types found among all NG images without their labels, as many as there are classes; raw pixels "
        "are k-means on 64 × 64 of them. The paper's 0.99 over types is on private data.",
    ),
    Recipe(
        name="transfer-kolektor",
        method="transfer_vgg",
        data=KOLEKTOR,
        figures=(
            PaperFigure("accuracy"),
            PaperFigure("f1_of_types"),
            PaperFigure("average_precision"),
            PaperFigure("auroc"),
        ),
        folds=3,
        note="The paper's 97% to 98% is on private data with a region of interest; here is the whole image.",
    ),
)

RECIPES: Final[Mapping[str, Recipe]] = {recipe.name: recipe for recipe in _ALL}
