from pathlib import Path

import numpy as np
import pytest

from inspection.line.config import ConfigError, FolderSource, PushSource, ReplaySource
from inspection.models import Station
from inspection.services.lines import (
    LineUnusable,
    check_watched_folder,
    deployment_config,
    kept_line_config,
    line_config,
    write_line_config,
)
from ml.models import ImageScore
from tests.inspection.factories import make_deployment, make_line, make_operating_point
from tests.ml.factories import make_dataset

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("folders")]


def replaying(line, **settings) -> Station:
    station = line.stations.get()
    station.source, station.source_settings = "replay", settings
    station.save()
    return station


def test_a_push_line_without_a_plc_is_ready_as_it_is():
    config = line_config(make_line(stations=("top", "side"), deadline_ms=250, keep_evidence_parts=7))
    assert [station.name for station in config.stations] == ["top", "side"]
    assert all(isinstance(station.source, PushSource) for station in config.stations)
    assert (config.deadline_s, config.keep_evidence_parts, config.plc) == (0.25, 7, None)


def test_a_stations_bit_is_the_one_that_its_page_shows():
    line = make_line(stations=("top", "side"))
    line.stations.filter(name="side").update(position=5)
    assert line_config(line).station_bits == {"top": 0, "side": 5}


def test_the_plc_settings_reach_the_runtime_in_seconds():
    line = make_line(
        plc_profile="handshake", trigger_mode="plc", plc_port=5021, plc_poll_ms=4, plc_watch_ms=900
    )
    plc = line_config(line).plc
    assert (plc.profile, plc.port, plc.poll_s, plc.plc_heartbeat_s) == ("handshake", 5021, 0.004, 0.9)


def test_the_simple_profile_has_its_output():
    line = make_line(plc_profile="simple", plc_output="register", plc_output_address=12, plc_pulse_ms=80)
    simple = line_config(line).plc.simple
    assert (simple.kind, simple.address, simple.pulse_s) == ("register", 12, 0.08)


def test_a_replay_lists_the_files_of_its_dataset_with_their_images_as_reference():
    dataset = make_dataset(ok=2, ng=1).dataset
    line = make_line()
    replaying(line, dataset=dataset.slug, parts_per_second=5)
    source = line_config(line).stations[0].source
    assert isinstance(source, ReplaySource)
    assert source.rate_hz == 5
    assert {item.reference for item in source.items} == {str(image.pk) for image in dataset.images.all()}
    assert not line_config(line).stations[0].keep_frames


def test_a_replay_that_the_plc_triggers_has_no_rate():
    line = make_line(plc_profile="handshake", trigger_mode="plc")
    replaying(line, dataset=make_dataset(ok=1).dataset.slug, parts_per_second=5)
    assert line_config(line).stations[0].source.rate_hz is None


def test_stations_replay_their_own_views_of_the_same_parts_in_step():
    factory = make_dataset()
    for item in ("b", "a"):
        for view in ("side", "top"):
            factory.add(item=item, view=view)
    line = make_line(stations=("top", "side"), source="replay")
    for station in line.stations.all():
        station.source_settings = {"dataset": factory.dataset.slug}
        station.save()
    top, side = (station.source.items for station in line_config(line).stations)
    sources = {source.name: (source.item, source.view) for source in factory.dataset.sources.all()}
    assert [sources[item.name] for item in top] == [("a", "top"), ("b", "top")]
    assert [sources[item.name] for item in side] == [("a", "side"), ("b", "side")]


@pytest.mark.parametrize(
    ("given", "words"),
    [({"dataset": "gone"}, "gone.*not there"), ({}, "not there"), ({"dataset": "empty"}, "no images yet")],
)
def test_a_replay_of_nothing_is_refused_in_words(given, words):
    make_dataset(name="Empty")
    line = make_line()
    replaying(line, **given)
    with pytest.raises(LineUnusable, match=words):
        line_config(line)


def test_a_line_without_stations_is_refused():
    with pytest.raises(LineUnusable, match="no station"):
        line_config(make_line(stations=()))


def test_a_folder_station_needs_its_folder(tmp_path):
    line = make_line(source="folder")
    with pytest.raises(LineUnusable, match="none is given"):
        line_config(line)
    Station.objects.update(source_settings={"path": str(tmp_path)})
    assert line_config(line).stations[0].source == FolderSource(folder=str(tmp_path))


@pytest.mark.parametrize("home", ["VAR_DIR", "BASE_DIR"])
@pytest.mark.parametrize("relation", [".", "..", "media", "../{name}/media", "/"])
def test_a_folder_of_the_systems_own_is_not_watched(settings, home, relation):
    own = Path(getattr(settings, home))
    path = own / relation.format(name=own.name)
    line = make_line(source="folder")
    Station.objects.update(source_settings={"path": str(path)})
    with pytest.raises(LineUnusable, match="its own files"):
        line_config(line)


def test_a_link_to_a_folder_of_the_systems_own_is_not_watched(settings, tmp_path):
    link = tmp_path / "camera"
    link.symlink_to(settings.VAR_DIR)
    with pytest.raises(LineUnusable, match="its own files"):
        check_watched_folder(str(link))


def test_a_folder_whose_name_only_begins_like_the_systems_is_watched(settings):
    check_watched_folder(f"{settings.VAR_DIR}-camera")


def test_settings_that_no_line_can_run_with_are_refused_by_name():
    with pytest.raises(LineUnusable, match="handshake"):
        line_config(make_line(plc_profile="none", trigger_mode="plc"))


def test_kept_settings_come_back_as_they_were():
    line = make_line()
    deployment = make_deployment(line, make_operating_point(review_from=0.4))
    config = line_config(line, deployment=deployment_config(deployment, artefact=Path("models/1")))
    write_line_config(config)
    assert kept_line_config(line.slug) == config


def test_a_line_that_never_ran_has_kept_nothing():
    with pytest.raises(ConfigError):
        kept_line_config("never")


def test_a_deployment_brings_thresholds_class_numbers_and_the_rank_table():
    deployment = make_deployment(make_line(), make_operating_point(ng_at=0.5, review_from=0.3))
    config = deployment_config(deployment, artefact=Path("x"))
    assert (config.ng_at, config.review_from, config.model_version) == (
        0.5,
        0.3,
        deployment.operating_point.model_version_id,
    )
    assert config.classes == {"OK": 0, "NG": 1}
    assert config.ok_scores == pytest.approx([0.40, 0.41, 0.42])


def test_a_rank_table_of_very_many_scores_is_their_quantiles():
    factory = make_dataset(ok=1)
    point = make_operating_point(factory=factory)
    template = ImageScore.objects.get()
    values = np.linspace(0, 1, 2500)
    ImageScore.objects.all().delete()
    images = factory.dataset.images.bulk_create(
        type(template.image)(
            dataset=factory.dataset,
            sha256=f"{n:064d}",
            name=str(n),
            extension=".png",
            height=1,
            width=1,
            size_bytes=1,
        )
        for n in range(2500)
    )
    ImageScore.objects.bulk_create(
        ImageScore(
            model_version=point.model_version,
            image=image,
            is_ng=False,
            class_name="OK",
            score=value,
            split="held_out",
        )
        for image, value in zip(images, values, strict=True)
    )
    table = deployment_config(make_deployment(make_line(), point), artefact=Path("x")).ok_scores
    assert table == pytest.approx(np.linspace(0, 1, 1001))
