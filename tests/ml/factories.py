"""Small real datasets: files on disk, rows in the database, parts with several images."""

import hashlib
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image as Picture

from annotation.fingerprints import fingerprint
from annotation.models import Dataset, Image, ImageSource, LabelClass
from ml.choices import JobState, ModelStage, ScoreSplit
from ml.models import ImageScore, ModelVersion, OperatingPoint, TrainingJob
from ml.services.jobs import add_folds
from ml.services.snapshots import freeze_dataset

SIZE = 64

# Weak at its smallest: a fit of a few seconds on one core.
TINY = {
    "height": SIZE, "width": SIZE, "stage1_iterations": 6, "stage2_iterations": 6, "stage3_iterations": 2,
    "precision": "float32",
}  # fmt: skip


def make_pixels(number: int, *, is_ng: bool) -> np.ndarray:
    """A grey texture, no two alike; NG has a bright bar. uint8 [64, 64]."""
    generator = np.random.default_rng(number)
    pixels = generator.normal(110, 12, (SIZE, SIZE))
    if is_ng:
        top = int(generator.integers(8, SIZE - 20))
        pixels[top : top + 6, 12:52] += 90
    return pixels.clip(0, 255).astype(np.uint8)


def encode(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Picture.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@dataclass
class DatasetFactory:
    """Adds to one dataset; numbers go on, so that no image repeats another."""

    dataset: Dataset
    ok: LabelClass
    ng: LabelClass
    number: int = 0

    def add(
        self, *, is_ng: bool = False, item: str = "", view: str = "", label_class: LabelClass | None = None
    ) -> Image:
        self.number += 1
        return self.add_pixels(
            make_pixels(self.number, is_ng=is_ng), is_ng=is_ng, item=item, view=view, label_class=label_class
        )

    def add_pixels(
        self,
        pixels: np.ndarray,
        *,
        is_ng: bool = False,
        item: str = "",
        view: str = "",
        label_class: LabelClass | None = None,
    ) -> Image:
        """A picture of the caller's, which must be another than those before."""
        content = encode(pixels)
        image = Image(
            dataset=self.dataset,
            sha256=hashlib.sha256(content).hexdigest(),
            name=f"{'ng' if is_ng else 'ok'}_{self.dataset.images.count() + 1:04d}.png",
            extension=".png",
            height=SIZE,
            width=SIZE,
            size_bytes=len(content),
            fingerprint=fingerprint(pixels),
            current_class=label_class or (self.ng if is_ng else self.ok),
        )
        image.path.parent.mkdir(parents=True, exist_ok=True)
        image.path.write_bytes(content)
        image.save()
        self.source(image, item=item, view=view)
        return image

    def source(self, image: Image, *, item: str = "", view: str = "") -> ImageSource:
        name = f"{image.name}.{image.sources.count()}"
        return ImageSource.objects.create(dataset=self.dataset, image=image, name=name, item=item, view=view)


def make_dataset(*, ok: int = 0, ng: int = 0, name: str = "Bolts", first: int = 0) -> DatasetFactory:
    """OK and NG images, each the only one of its part; another `first` gives other pixels."""
    dataset = Dataset.objects.create(name=name, slug=name.lower().replace(" ", "-"))
    factory = DatasetFactory(
        dataset,
        ok=LabelClass.objects.create(dataset=dataset, name="OK", number=0),
        ng=LabelClass.objects.create(dataset=dataset, name="NG", number=1),
        number=first,
    )
    for _ in range(ok):
        factory.add()
    for _ in range(ng):
        factory.add(is_ng=True)
    return factory


def make_job(factory: DatasetFactory, **fields) -> TrainingJob:
    """A queued job without the checks of `queue_job`."""
    values = {"method": "weak", "parameters": TINY, "state": JobState.QUEUED, **fields}
    snapshot = freeze_dataset(
        dataset=factory.dataset, folds=values.get("folds", 0), seed=values.get("seed", 0)
    )
    job = TrainingJob.objects.create(dataset=factory.dataset, snapshot=snapshot, **values)
    add_folds(job)
    return job


def make_version(factory: DatasetFactory, *, job: TrainingJob | None = None, **fields) -> ModelVersion:
    """A version whose OK images score 0.1, 0.2, … and whose NG images score 0.55, 0.65, … as held out."""
    job = job or make_job(factory, state=JobState.DONE, progress=1.0)
    version = ModelVersion.objects.create(
        dataset=factory.dataset,
        job=job,
        method=job.method,
        artefact=f"job-{job.pk}",
        evaluation={
            "n": {"ok": 1, "ng": 1},
            "metrics": {"auroc": {"value": 0.98, "low": 0.9, "high": 1.0}},
            "threshold": {"value": 0.5, "reason": "test"},
            "seconds": 1.0,
            "peak_mb": 100.0,
        },
        stage=fields.pop("stage", ModelStage.CANDIDATE),
        **fields,
    )
    counts = {False: 0, True: 0}
    for image in Image.objects.filter(dataset=factory.dataset).select_related("current_class"):
        is_ng = not image.current_class.is_ok
        score = (0.55 if is_ng else 0.1) + counts[is_ng] * 0.1
        counts[is_ng] += 1
        ImageScore.objects.create(
            model_version=version, image=image, is_ng=is_ng, class_name=image.current_class.name, score=score,
            split=ScoreSplit.HELD_OUT,
        )  # fmt: skip
    return version


def make_point(version: ModelVersion, **fields) -> OperatingPoint:
    return OperatingPoint.objects.create(
        **{"model_version": version, "ng_at": 0.5, "reason": "as agreed", **fields}
    )
