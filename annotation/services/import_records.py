"""What an import writes down of one batch of files: images, sources, labels, remarks."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from annotation.choices import LabelHow, RemarkKind
from annotation.formats import Entry, Refusal
from annotation.models import Image, ImageSource, ImportJob, ImportRemark, Label

from .datasets import class_named
from .labels import append_labels
from .storage import StoredFile, image_record


@dataclass(frozen=True)
class PreparedFile:
    """A file whose content is in place, and what its source says of it."""

    entry: Entry
    stored: StoredFile


@dataclass(frozen=True)
class BatchCounts:
    images_added: int
    already_there: int
    duplicates: int
    labels_added: int
    refused: int


class BatchRecorder:
    """Records one batch of an import. Call within a transaction.

    The number of queries does not grow with the batch.
    """

    def __init__(self, job: ImportJob) -> None:
        self._job = job
        self._remarks: list[ImportRemark] = []
        self._counts: Counter[str] = Counter()

    def record(self, outcomes: Sequence[PreparedFile | Refusal]) -> BatchCounts:
        files = [outcome for outcome in outcomes if isinstance(outcome, PreparedFile)]
        refusals = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
        known = self._images(files)
        images = known | self._add_images(file for file in files if file.stored.sha256 not in known)
        contradictions = self._label(files, images)
        refused_paths = {refusal.path for refusal in contradictions}
        taken = [file for file in files if file.entry.path not in refused_paths]
        self._add_sources(taken, images, set(known))
        refusals += contradictions
        for refusal in refusals:
            self._remark(RemarkKind.REFUSED, refusal.path, refusal.reason)
        ImportRemark.objects.bulk_create(self._remarks)
        return BatchCounts(
            images_added=len(images) - len(known),
            already_there=self._counts["already_there"],
            duplicates=self._counts["duplicates"],
            labels_added=self._counts["labels"],
            refused=len(refusals),
        )

    def _images(self, files: Iterable[PreparedFile]) -> dict[str, Image]:
        contents = {file.stored.sha256 for file in files}
        rows = Image.objects.filter(dataset=self._job.dataset_id, sha256__in=contents)
        return {image.sha256: image for image in rows.only("sha256", "name")}

    def _add_images(self, files: Iterable[PreparedFile]) -> dict[str, Image]:
        first: dict[str, PreparedFile] = {}
        for file in files:
            first.setdefault(file.stored.sha256, file)
        if not first:
            return {}
        Image.objects.bulk_create(
            [
                image_record(file.stored, dataset_id=self._job.dataset_id, name=file.entry.path)
                for file in first.values()
            ],
            ignore_conflicts=True,  # another import into this dataset may have been quicker
        )
        return self._images(first.values())

    def _add_sources(self, files: Sequence[PreparedFile], images: dict[str, Image], known: set[str]) -> None:
        """One row per name that a content came under; says which were there, and which are copies."""
        rows = ImageSource.objects.filter(image__in=[image.pk for image in images.values()])
        there = {(source.image_id, source.name): source for source in rows}
        new: dict[tuple[int, str], ImageSource] = {}
        changed: list[ImageSource] = []
        seen = {images[sha256].pk for sha256 in known}
        for file in files:
            image, entry = images[file.stored.sha256], file.entry
            key = (image.pk, entry.path)
            if key in there:
                self._counts["already_there"] += 1
                if _learns(there[key], entry):
                    changed.append(there[key])
                continue
            if image.pk in seen:
                self._counts["duplicates"] += 1
                self._remark(RemarkKind.DUPLICATE, entry.path, f"Byte-identical to {image.name}.")
            seen.add(image.pk)
            new[key] = ImageSource(
                dataset_id=self._job.dataset_id,
                image=image,
                name=entry.path,
                item=entry.item,
                view=entry.view,
            )
        ImageSource.objects.bulk_create(new.values(), ignore_conflicts=True)
        ImageSource.objects.bulk_update(changed, ["item", "view"], batch_size=200)

    def _label(self, files: Sequence[PreparedFile], images: dict[str, Image]) -> list[Refusal]:
        """Labels the images; gives back the files whose class contradicts that of their own copy.

        An import says the same thing of an image once: run again, it adds no label, and it does not
        override what a person has said since.
        """
        said = self._said_before([image.pk for image in images.values()])
        to_say: dict[int, int | None] = {}
        contradictions = []
        for file in files:
            class_id = self._class_id(file.entry)
            if class_id is None:
                continue
            image = images[file.stored.sha256]
            before = said.get(image.pk)
            is_own = image.pk in to_say or (before is not None and before.created_at >= self._job.created_at)
            spoken = to_say.get(image.pk, before.label_class_id if before else None)
            if spoken == class_id:
                continue
            if is_own:
                reason = (
                    f"It is byte-identical to {image.name}, but of another class ({file.entry.class_name})."
                )
                contradictions.append(Refusal(file.entry.path, f"{reason} The first one's class stands."))
            else:
                to_say[image.pk] = class_id
        if to_say:
            append_labels(classes=to_say, author=self._job.created_by, how=LabelHow.IMPORT)
        self._counts["labels"] = len(to_say)
        return contradictions

    def _said_before(self, image_ids: list[int]) -> dict[int, Label]:
        """The last imported label of this import's author on each image."""
        labels = Label.objects.filter(
            image__in=image_ids, author=self._job.created_by_id, how=LabelHow.IMPORT
        )
        return {label.image_id: label for label in labels.order_by("pk")}

    def _class_id(self, entry: Entry) -> int | None:
        if entry.class_name is None:
            return None
        classes = self._classes()
        name = entry.class_name.casefold()
        if name not in classes:
            made = class_named(dataset=self._job.dataset, name=entry.class_name, actor=self._job.created_by)
            classes[name] = made.pk
        return classes[name]

    def _classes(self) -> dict[str, int]:
        if not hasattr(self, "_class_ids"):
            rows = self._job.dataset.classes.values_list("name", "pk")
            self._class_ids = {name.casefold(): pk for name, pk in rows}
        return self._class_ids

    def _remark(self, kind: RemarkKind, file: str, reason: str) -> None:
        self._remarks.append(ImportRemark(job=self._job, kind=kind, file=file[:400], reason=reason[:600]))


def _learns(source: ImageSource, entry: Entry) -> bool:
    """Takes item and view over where the source now says them; whether that changed anything."""
    learnt = (entry.item or source.item, entry.view or source.view)
    if learnt == (source.item, source.view):
        return False
    source.item, source.view = learnt
    return True
