"""A product, a line and a PLC to try everything with, without images of one's own. All of it is synthetic."""

from django.db import transaction
from django.utils.translation import gettext as _

from annotation.choices import LabelHow
from annotation.models import Dataset, Image
from annotation.services import audit
from annotation.services.datasets import class_named, create_dataset
from annotation.services.labels import label_images
from annotation.services.storage import store_image
from annotation.synthetic import make_parts
from inspection.choices import PartRule, PlcProfile, SourceKind, TriggerMode
from inspection.models import Line, Station
from ml.choices import JobState
from ml.models import ModelVersion, TrainingJob
from ml.services.jobs import queue_job

TRAINING_DATASET = "Demo plates"
LINE_DATASET = "Demo plates on the line"
LINE_SLUG = "demo"
SIMULATOR_HOST = "127.0.0.1"
PART_PERIOD_MS = 1000
_SEED = 7


def demo_line() -> Line | None:
    return Line.objects.filter(slug=LINE_SLUG).first()


def uses_simulator(line: Line) -> bool:
    """Whether the line still speaks to the simulator; a person may have pointed it at a real PLC."""
    return line.is_simulated and line.plc_host == SIMULATOR_HOST and line.plc_profile == PlcProfile.HANDSHAKE


@transaction.atomic
def move_simulator(line: Line, *, plc_port: int) -> None:
    """Where the simulator listens from now on; its port was taken by another program."""
    audit.record(
        actor=None, action="line.changed", target=line, details={"plc_port": [line.plc_port, plc_port]}
    )
    line.plc_port = plc_port
    line.save(update_fields=["plc_port"])


@transaction.atomic
def make_demo(*, plc_port: int) -> Line:
    """The demo's datasets and its line.

    Args:
        plc_port: where the PLC simulator will listen on this machine.
    """
    _synthetic_dataset(TRAINING_DATASET, ok=80, ng=48, seed=_SEED, prefix="plate")
    parts = _synthetic_dataset(LINE_DATASET, ok=170, ng=30, seed=_SEED + 1, prefix="part")
    line = Line.objects.create(
        slug=LINE_SLUG,
        name=_("Demo line"),
        is_simulated=True,
        part_rule=PartRule.ANY,
        trigger_mode=TriggerMode.PLC,
        plc_profile=PlcProfile.HANDSHAKE,
        plc_host=SIMULATOR_HOST,
        plc_port=plc_port,
    )
    Station.objects.create(
        line=line,
        name="top",
        source=SourceKind.REPLAY,
        source_settings={"dataset": parts.slug, "seed": _SEED},
    )
    return line


def train_demo() -> TrainingJob | None:
    """Queues the demo's training, unless a model of it stands; `ml.tasks.ask_for_training` then sends it.

    Returns:
        The job to wait for: the new one, or the one under way. None when the demo has its model.
    """
    dataset = Dataset.objects.get(name=TRAINING_DATASET)
    if ModelVersion.objects.filter(dataset=dataset).exists():
        return None
    under_way = TrainingJob.objects.filter(
        dataset=dataset, state__in=[JobState.QUEUED, JobState.RUNNING]
    ).first()
    return under_way or queue_job(dataset=dataset, method="weak", preset="demo", seed=_SEED)


def _synthetic_dataset(name: str, *, ok: int, ng: int, seed: int, prefix: str) -> Dataset:
    dataset = Dataset.objects.filter(name=name).first()
    if dataset:
        return dataset
    dataset = create_dataset(
        name=name,
        description=_("Brushed metal plates made by a generator, with holes, scratches, cracks and stains."),
        is_synthetic=True,
    )
    by_class: dict[str, list[Image]] = {}
    for part in make_parts(ok=ok, ng=ng, seed=seed, prefix=prefix):
        stored = store_image(dataset=dataset, content=part.png(), name=part.name, item=part.item)
        by_class.setdefault(part.class_name, []).append(stored.image)
    for class_name, images in sorted(by_class.items()):
        label_class = class_named(dataset=dataset, name=class_name, actor=None)
        label_images(images=images, label_class=label_class, author=None, how=LabelHow.IMPORT)
    return dataset
