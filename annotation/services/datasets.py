"""Datasets and their classes: the schema that labels are written in, and that the PLC is told numbers of."""

from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import PROTECT, Max, ProtectedError
from django.utils.text import slugify

from annotation.choices import ImportState
from annotation.errors import DomainError
from annotation.models import NG_CLASS_NAME, OK_CLASS_NAME, Dataset, Image, Label, LabelClass, User

from . import audit, storage, uploads

MAX_CLASS_NUMBER: Final = 32_767
_RESERVED_SLUGS: Final = {"new"}
_BATCH: Final = 1000


class DatasetRefused(DomainError):
    """A dataset or class can't be made, renamed or deleted as asked."""

    code = "dataset_refused"


class ClassUnknown(DomainError):
    """A label names a class that the dataset does not have."""

    code = "class_unknown"
    status = 400


@transaction.atomic
def create_dataset(
    *, name: str, description: str = "", is_synthetic: bool = False, created_by: User | None = None
) -> Dataset:
    """A new dataset with its class OK, number 0; other classes are made on demand.

    Raises:
        DatasetRefused: the name is empty, too long or taken.
    """
    name = _checked_name(name)
    if Dataset.objects.filter(name__iexact=name).exists():
        raise DatasetRefused(f"There is a dataset “{name}” already.")
    dataset = Dataset.objects.create(
        name=name,
        slug=_free_slug(name),
        description=description,
        is_synthetic=is_synthetic,
        created_by=created_by,
    )
    LabelClass.objects.create(dataset=dataset, name=OK_CLASS_NAME, number=0)
    audit.record(actor=created_by, action="dataset.created", target=dataset)
    return dataset


@transaction.atomic
def change_dataset(*, dataset: Dataset, name: str, description: str, actor: User | None) -> Dataset:
    """Renames or describes a dataset; its address stays.

    Raises:
        DatasetRefused: the name is empty, too long or taken.
    """
    name = _checked_name(name)
    if Dataset.objects.filter(name__iexact=name).exclude(pk=dataset.pk).exists():
        raise DatasetRefused(f"There is a dataset “{name}” already.")
    before = {"name": dataset.name, "description": dataset.description}
    after = {"name": name, "description": description}
    if before != after:
        dataset.name, dataset.description = name, description
        dataset.save(update_fields=["name", "description"])
        audit.record(
            actor=actor, action="dataset.changed", target=dataset, details={"before": before, "after": after}
        )
    return dataset


@transaction.atomic
def create_class(*, dataset: Dataset, name: str, actor: User | None) -> LabelClass:
    """A new defect class, with the next free number.

    Raises:
        DatasetRefused: the name is empty, too long or taken.
    """
    name = _checked_class_name(name)
    Dataset.objects.select_for_update().get(pk=dataset.pk)
    if dataset.classes.filter(name__iexact=name).exists():
        raise DatasetRefused(f"There is a class “{name}” already.")
    highest = dataset.classes.aggregate(highest=Max("number"))["highest"]
    number = 0 if highest is None else highest + 1
    if number > MAX_CLASS_NUMBER:
        raise DatasetRefused("No class number is left.")
    made = LabelClass.objects.create(dataset=dataset, name=name, number=number)
    audit.record(
        actor=actor, action="class.created", target=dataset, details={"name": name, "number": number}
    )
    return made


def class_named(*, dataset: Dataset, name: str, actor: User | None) -> LabelClass:
    """The class of this name, whatever its capitals; made when there is none.

    Raises:
        DatasetRefused: the name can't be that of a class.
    """
    found = dataset.classes.filter(name__iexact=name.strip()).first()
    if found:
        return found
    try:
        with transaction.atomic():
            return create_class(dataset=dataset, name=name, actor=actor)
    except (IntegrityError, DatasetRefused):
        # Somebody else may have made it since; if nobody did, the refusal stands.
        made = dataset.classes.filter(name__iexact=name.strip()).first()
        if made is None:
            raise
        return made


def ng_class(*, dataset: Dataset, actor: User | None) -> LabelClass:
    """The class of defects whose kind is not said; made when there is none."""
    return class_named(dataset=dataset, name=NG_CLASS_NAME, actor=actor)


def existing_class(*, dataset: Dataset, name: str, actor: User | None) -> LabelClass:
    """The class that a person or client names; only NG is made when there is none, since anybody may mean it.

    Raises:
        ClassUnknown: the dataset has no such class.
    """
    if name.strip().casefold() == NG_CLASS_NAME.casefold():
        return ng_class(dataset=dataset, actor=actor)
    found = dataset.classes.filter(name__iexact=name.strip()).first()
    if found is None:
        known = ", ".join(dataset.classes.values_list("name", flat=True))
        raise ClassUnknown(f"“{dataset}” has no class “{name.strip()}”; it has {known}. Add it first.")
    return found


@transaction.atomic
def rename_class(*, label_class: LabelClass, name: str, actor: User | None) -> LabelClass:
    """Another name for a class; its number, which the PLC knows, stays.

    Raises:
        DatasetRefused: OK keeps its name; or the new one is empty, too long or taken.
    """
    name = _checked_class_name(name)
    if label_class.is_ok:
        raise DatasetRefused("OK keeps its name.")
    if name.casefold() == OK_CLASS_NAME.casefold():
        raise DatasetRefused("A defect class can't be called OK.")
    others = LabelClass.objects.filter(dataset=label_class.dataset_id).exclude(pk=label_class.pk)
    if others.filter(name__iexact=name).exists():
        raise DatasetRefused(f"There is a class “{name}” already.")
    before = label_class.name
    if before != name:
        label_class.name = name
        label_class.save(update_fields=["name"])
        details = {"number": label_class.number, "before": before, "after": name}
        audit.record(actor=actor, action="class.renamed", target=label_class.dataset, details=details)
    return label_class


def delete_dataset(*, dataset: Dataset, actor: User | None) -> int:
    """Deletes a dataset, its images and labels, and the files that no other dataset holds.

    Returns:
        How many images went.

    Raises:
        DatasetRefused: something that must stay traceable was made from it, a snapshot say; or an import is
            under way.
    """
    if dataset.imports.filter(state__in=[ImportState.QUEUED, ImportState.RUNNING]).exists():
        raise DatasetRefused(f"Images are being imported into “{dataset}”; wait until that is over.")
    try:
        with transaction.atomic():
            return _delete(dataset, actor)
    except ProtectedError as error:
        kinds = sorted({str(row._meta.verbose_name_plural) for row in error.protected_objects})
        raise DatasetRefused(
            f"“{dataset}” stays: {', '.join(kinds)} were made from it, and every verdict must be traceable "
            "to its images."
        ) from error


def _delete(dataset: Dataset, actor: User | None) -> int:
    """In batches, so that memory does not grow with the dataset."""
    _refuse_if_used(dataset)
    removed: list[tuple[str, str]] = []
    Label.objects.filter(image__dataset=dataset).delete()
    images = Image.objects.filter(dataset=dataset).order_by("pk")
    while batch := list(images.values_list("pk", "sha256", "extension")[:_BATCH]):
        Image.objects.filter(pk__in=[pk for pk, *_ in batch]).delete()
        removed += [(sha256, extension) for _, sha256, extension in batch]
    kept_uploads = [job.source for job in dataset.imports.filter(is_upload=True)]
    details = {"images": len(removed)}
    audit.record(actor=actor, action="dataset.deleted", target=dataset, details=details)
    dataset.delete()
    transaction.on_commit(lambda: _remove_files(removed, kept_uploads))
    return len(removed)


def _refuse_if_used(dataset: Dataset) -> None:
    """Asks the records that other apps protect a dataset with, before anything is taken apart."""
    for relation in dataset._meta.related_objects:
        if getattr(relation, "on_delete", None) is not PROTECT:
            continue
        using = relation.related_model._default_manager.filter(**{relation.field.name: dataset})
        if using.exists():
            raise ProtectedError("In use.", set(using[:1]))


def _remove_files(images: list[tuple[str, str]], kept_uploads: list[str]) -> None:
    storage.remove_unused_files(images)
    for path in kept_uploads:
        uploads.remove_upload(path)


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not name:
        raise DatasetRefused("A dataset needs a name.")
    if len(name) > 120:
        raise DatasetRefused("A dataset's name has at most 120 letters.")
    return name


def _checked_class_name(name: str) -> str:
    name = " ".join(name.split())
    if not name:
        raise DatasetRefused("A class needs a name.")
    if len(name) > 60:
        raise DatasetRefused("A class name has at most 60 letters.")
    if name.isdecimal():
        raise DatasetRefused("A bare number is no class name; the PLC's number is given by itself.")
    return name


def _free_slug(name: str) -> str:
    """An address that no dataset has; names in other scripts than Latin get one that says dataset."""
    wanted = slugify(name)[:100] or "dataset"
    taken = set(Dataset.objects.filter(slug__startswith=wanted).values_list("slug", flat=True))
    candidates = [wanted, *(f"{wanted}-{number}" for number in range(2, len(taken) + 4))]
    return next(slug for slug in candidates if slug not in taken | _RESERVED_SLUGS)
