"""Training a model once more from what its card says of it."""

from collections.abc import Iterator, Mapping
from typing import Any

from annotation.models import Dataset, User
from ml.errors import CardRefused
from ml.models import ModelVersion, Snapshot, TrainingJob

from .jobs import queue_job


def queue_like(
    *, version: ModelVersion, dataset: Dataset | None = None, author: User | None = None
) -> TrainingJob:
    """Queues the training of a model version again: its method, parameters, seed, folds, all from its card.

    Args:
        version: whose card is read, from its artefact.
        dataset: to train on, as it is labelled now; None for the snapshot that the version was trained on.
        author: who asked; None for a command.

    Raises:
        CardRefused: the artefact is damaged, its card was edited, or its snapshot is not of these records.
        ParametersRefused: this build's method no longer takes these parameters.
        WeightsRefused, DatasetUnsuitable: see `queue_job`.
    """
    card = _untouched_card(version)
    snapshot = None if dataset else _snapshot_of(card)
    return queue_job(
        dataset=dataset or version.dataset,
        method=card["method"],
        parameters=card["parameters"],
        folds=card["extra"]["split"]["folds"],
        seed=card["seed"],
        author=author,
        snapshot=snapshot,
    )


def _untouched_card(version: ModelVersion) -> Mapping[str, Any]:
    from ml.serving.artefact import ArtefactError, verify_artefact

    try:
        card = verify_artefact(version.artefact_path).to_json()
    except ArtefactError as error:
        raise CardRefused(f"Model version {version.pk} can't be trained again: {error}") from error
    changes = list(_differences(version.card, card, ""))
    if changes:
        raise CardRefused(
            f"The card of model version {version.pk} was edited after it was made: {'; '.join(changes[:3])}. "
            "It no longer says how this model was trained."
        )
    return card


def _snapshot_of(card: Mapping[str, Any]) -> Snapshot:
    sha256 = card["extra"]["snapshot"]
    snapshot = Snapshot.objects.filter(sha256=sha256).first()
    if snapshot is None:
        raise CardRefused(
            f"The snapshot {sha256[:12]} of the card is not among these records. Name a dataset to train on."
        )
    return snapshot


def _differences(made: Any, found: Any, where: str) -> Iterator[str]:
    """What differs, a sentence each, deepest place first reached."""
    if isinstance(made, Mapping) and isinstance(found, Mapping):
        for name in sorted({*made, *found}):
            place = f"{where}.{name}" if where else name
            yield from _differences(made.get(name, _ABSENT), found.get(name, _ABSENT), place)
    elif made != found:
        yield f"{where} is {_short(found)}, and was {_short(made)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


class _Absent:
    def __str__(self) -> str:
        return "absent"


_ABSENT = _Absent()
