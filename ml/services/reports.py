"""The report of an evaluation, of one shape for every method, page, endpoint and command.

{"method", "dataset", "model_version", "split": {"by", "folds", "seed"}, "n": {"ok", "ng"},
"metrics": {name: {"value" or "count" and "of", "low", "high"}}, "threshold": {"value", "reason"},
"images": [{"file", "label", "class", "score", "fold"}], "seconds", "peak_mb"}
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ml.choices import ScoreSplit
from ml.models import ImageScore, ModelVersion, Snapshot

from .fitting import ScoredImage


def measure(held_out: Sequence[ScoredImage], *, seed: int) -> dict[str, Any]:
    """The figures of scores that no fit had seen: "n", "metrics" and "threshold" of the report."""
    from ml.evaluation.report import evaluate_scores

    return evaluate_scores(
        np.array([one.score for one in held_out], np.float64),
        np.array([one.image.is_ng for one in held_out], bool),
        groups=[one.image.group for one in held_out],
        seed=seed,
    )


def split_entry(snapshot: Snapshot) -> dict[str, Any]:
    split = snapshot.contents["split"]
    return {"by": split["by"], "folds": split["folds"], "seed": split["seed"]}


def report_of_version(version: ModelVersion) -> dict[str, Any]:
    """The report that a model version was registered with, and its held-out images."""
    rows = ImageScore.objects.filter(model_version=version, split=ScoreSplit.HELD_OUT).order_by("image_id")
    images = [
        {
            "file": file,
            "label": "NG" if is_ng else "OK",
            "class": class_name,
            "score": score,
            "fold": fold,
        }
        for file, is_ng, class_name, score, fold in rows.values_list(
            "image__name", "is_ng", "class_name", "score", "fold"
        )
    ]
    return {"method": version.method, "dataset": version.dataset.slug, **version.evaluation, "images": images}
