"""A line's settings as the runtime wants them: built from the database, kept as one JSON file."""

import hashlib
import json
from pathlib import Path

import numpy as np
from django.conf import settings
from django.db.models import Q

from annotation.errors import DomainError
from annotation.models import Dataset, ImageSource
from inspection.choices import PlcProfile, SourceKind, TriggerMode
from inspection.line.config import (
    ConfigError,
    DeploymentConfig,
    FolderSource,
    LineConfig,
    PartRule,
    PushSource,
    ReplayItem,
    ReplaySource,
    SourceConfig,
    StationConfig,
)
from inspection.models import Deployment, Line, Station
from inspection.plc.config import PlcConfig, SimpleOutput
from inspection.plc.registers import WordOrder
from ml.models import ImageScore, OperatingPoint

CONFIG_FILE = "config.json"
DEFAULT_PARTS_PER_SECOND = 1.0
RANKS = 1001
# What a line's process does not run by.
_APART = {Line: {"id", "name", "is_simulated", "created_at"}, Station: {"id", "line"}}


class LineUnusable(DomainError):
    """The line's settings don't make a line that can run; the text says which."""

    code = "line_unusable"


def line_folder(slug: str) -> Path:
    """Where a line keeps its settings, journal, evidence and models."""
    return Path(settings.LINE_DIR) / slug


def check_watched_folder(path: str) -> None:
    """A line moves or removes the images in the folder it watches: never the system's own.

    Raises:
        LineUnusable: the folder is, holds or lies in the program's or its data's.
    """
    try:
        folder = Path(path).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise LineUnusable(f"The folder {path!r} can't be watched: {error}.") from error
    for own in (settings.VAR_DIR, settings.BASE_DIR):
        home = Path(own).resolve()
        if folder.is_relative_to(home) or home.is_relative_to(folder):
            raise LineUnusable(
                f"The folder {path} can't be watched: the system keeps its own files there. "
                "Choose a folder that only the camera writes into."
            )


def line_config(line: Line, *, deployment: DeploymentConfig | None = None) -> LineConfig:
    """The runtime's settings of a line.

    Args:
        line: with its stations.
        deployment: the one to begin with.

    Raises:
        LineUnusable: a station or the PLC is not set up so that the line could run.
    """
    stations = list(line.stations.all())
    if not stations:
        raise LineUnusable(
            f"{line} has no station yet. Add at least one: a line needs an image of each part."
        )
    try:
        return LineConfig(
            line=line.slug,
            folder=str(line_folder(line.slug)),
            stations=[_station_config(station, line) for station in stations],
            trigger="plc" if line.trigger_mode == TriggerMode.PLC else "frame",
            plc=_plc_config(line),
            rule=PartRule(line.part_rule),
            deadline_s=line.deadline_ms / 1000,
            depth=line.queue_depth,
            keep_evidence_parts=line.keep_evidence_parts,
            revision=settings_revision(line),
            deployment=deployment,
        )
    except (ConfigError, ValueError) as error:
        raise LineUnusable(f"The settings of {line} can't be used: {error}.") from error


def settings_revision(line: Line) -> str:
    """Names the settings that a line's process runs by, with its stations': other settings, another name."""
    kept = [
        {
            field.name: field.value_from_object(record)
            for field in record._meta.fields
            if field.name not in _APART[type(record)]
        }
        for record in (line, *line.stations.all())
    ]
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def write_line_config(config: LineConfig) -> Path:
    """Keeps the settings in the line's folder, so that it can start when the database is away."""
    path = Path(config.folder) / CONFIG_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(config.to_json(), encoding="utf-8")
    draft.replace(path)
    return path


def kept_line_config(slug: str) -> LineConfig:
    """The settings that the line last ran with.

    Raises:
        ConfigError: there are none, or they can't be read.
        LineUnusable: a station would watch a folder that the system keeps its own files in.
    """
    config = LineConfig.from_file(line_folder(slug) / CONFIG_FILE)
    for station in config.stations:
        if isinstance(station.source, FolderSource):
            check_watched_folder(station.source.folder)
    return config


def deployment_config(deployment: Deployment, *, artefact: Path) -> DeploymentConfig:
    """A deployment as the runtime wants it: thresholds, class numbers, the rank table of scores."""
    point: OperatingPoint = deployment.operating_point
    version = point.model_version
    return DeploymentConfig(
        id=deployment.pk,
        model_version=version.pk,
        artefact=str(artefact),
        ng_at=point.ng_at,
        review_from=point.review_from,
        ok_scores=_ok_score_quantiles(version.pk),
        classes=dict(version.dataset.classes.values_list("name", "number")),
    )


def _ok_score_quantiles(model_version_id: int) -> list[float]:
    scores = ImageScore.objects.filter(model_version_id=model_version_id, is_ng=False).order_by("score")
    values = np.fromiter(scores.values_list("score", flat=True).iterator(), np.float64)
    if len(values) > RANKS:
        values = np.quantile(values, np.linspace(0, 1, RANKS))
    return [float(value) for value in values]


def _plc_config(line: Line) -> PlcConfig | None:
    if line.plc_profile == PlcProfile.NONE:
        return None
    return PlcConfig(
        host=line.plc_host,
        port=line.plc_port,
        unit_id=line.plc_unit,
        profile="simple" if line.plc_profile == PlcProfile.SIMPLE else "handshake",
        to_base=line.plc_base_to,
        from_base=line.plc_base_from,
        word_order=WordOrder.HIGH_FIRST if line.plc_is_high_word_first else WordOrder.LOW_FIRST,
        poll_s=line.plc_poll_ms / 1000,
        timeout_s=line.plc_timeout_ms / 1000,
        heartbeat_s=line.plc_heartbeat_ms / 1000,
        plc_heartbeat_s=line.plc_watch_ms / 1000,
        simple=SimpleOutput(
            kind="register" if line.plc_output == "register" else "coil",
            address=line.plc_output_address,
            pulse_s=line.plc_pulse_ms / 1000 if line.plc_pulse_ms else None,
        ),
    )


def _station_config(station: Station, line: Line) -> StationConfig:
    """A replayed image is in the dataset already, so the line need not keep it again."""
    return StationConfig(
        name=station.name,
        source=_source_config(station, line),
        keep_frames=station.source != SourceKind.REPLAY,
        bit=station.position,
    )


def _source_config(station: Station, line: Line) -> SourceConfig:
    given = station.source_settings
    if station.source == SourceKind.PUSH:
        return PushSource()
    if station.source == SourceKind.FOLDER:
        if not given.get("path"):
            raise LineUnusable(f"Station {station.name} watches a folder, but none is given.")
        check_watched_folder(given["path"])
        return FolderSource(folder=given["path"])
    is_triggered = line.trigger_mode == TriggerMode.PLC
    return ReplaySource(
        items=_replay_items(station),
        rate_hz=None if is_triggered else float(given.get("parts_per_second") or DEFAULT_PARTS_PER_SECOND),
        order="seeded" if given.get("seed") is not None else "given",
        seed=int(given.get("seed") or 0),
    )


def _replay_items(station: Station) -> list[ReplayItem]:
    """The dataset's files of this station's view, by item, so that several stations show the same part.

    A dataset whose views have other names than the station is replayed whole.
    """
    slug = station.source_settings.get("dataset")
    dataset = Dataset.objects.filter(slug=slug).first()
    if dataset is None:
        raise LineUnusable(f"Station {station.name} replays the dataset “{slug or ''}”, which is not there.")
    sources = ImageSource.objects.filter(dataset=dataset).select_related("image").order_by("item", "id")
    is_named_view = Q(view=station.name)
    chosen = list(sources.filter(is_named_view)) or list(sources)
    if not chosen:
        raise LineUnusable(f"Station {station.name} replays {dataset}, which has no images yet.")
    return [
        ReplayItem(path=str(source.image.path), name=source.name, reference=str(source.image_id))
        for source in chosen
    ]
