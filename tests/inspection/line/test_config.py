from dataclasses import replace

import pytest

from inspection.line.config import (
    ConfigError,
    DeploymentConfig,
    FolderSource,
    LineConfig,
    PartRule,
    PlcConfig,
    PushSource,
    ReplayItem,
    ReplaySource,
    StationConfig,
)

from .factories import deployment, line_config


def test_a_line_reads_back_from_its_own_json(tmp_path):
    config = line_config(
        tmp_path,
        trigger="plc",
        plc=PlcConfig(port=5020, has_serial=False),
        rule=PartRule.MAJORITY,
        stations=[
            StationConfig(name="top", source=ReplaySource(items=[ReplayItem(path="a.png", reference="7")])),
            StationConfig(name="side", source=FolderSource(folder="in")),
            StationConfig(name="end", source=PushSource(depth=2)),
        ],
    )
    assert LineConfig.from_json(config.to_json()) == config
    assert LineConfig.from_dict(config.to_dict()) == config


def test_a_small_file_is_enough(tmp_path):
    path = tmp_path / "line.json"
    path.write_text(
        '{"line": "a", "folder": "var/a", "trigger": "frame",'
        ' "stations": [{"name": "top", "source": {"kind": "push"}}]}'
    )
    assert LineConfig.from_file(path).stations[0].source == PushSource()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"typo": 1}, "typo"),
        ({"stations": []}, "stations"),
        ({"stations": [{"name": "a", "source": {"kind": "push", "dept": 1}}]}, "dept"),
        ({"stations": [{"name": "a/b", "source": {"kind": "push"}}]}, "name"),
        ({"stations": [{"name": "a", "source": {"kind": "replay", "folder": "x"}}]}, "rate_hz"),
        ({"stations": [{"name": "a", "source": {"kind": "replay", "rate_hz": 1}}]}, "replay"),
        ({"stations": [{"name": "a", "source": {"kind": "push"}}] * 2}, "stations"),
        ({"trigger": "plc"}, "trigger"),
        ({"plc": {"port": 5020}}, "handshake"),
        ({"plc": {"port": 0, "profile": "simple"}}, "port"),
        ({"plc": {"heartbeat_s": 0.6, "profile": "simple"}}, "heartbeat_s"),
        ({"deadline_s": 0}, "deadline_s"),
        ({"depth": 0}, "depth"),
        ({"line": ""}, "line"),
        ({"rule": "some"}, "rule"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(tmp_path, change, named):
    with pytest.raises(ConfigError, match=named):
        LineConfig.from_dict(line_config(tmp_path).to_dict() | change)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"line": "a"}'])
def test_what_is_no_settings_file_is_refused(tmp_path, text):
    path = tmp_path / "line.json"
    path.write_text(text)
    with pytest.raises(ConfigError):
        LineConfig.from_file(path)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.json"):
        LineConfig.from_file(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"review_from": 0.7}, "review_from"),
        ({"ng_at": float("nan")}, "ng_at"),
        ({"ok_scores": [1.0, 0.5]}, "ok_scores"),
        ({"model_version": 2**32}, "model_version"),
        ({"classes": {"crack": 70_000}}, "classes"),
        ({"map_max": 0}, "map_max"),
    ],
)
def test_an_operating_point_that_cannot_be_used_is_refused(change, named):
    with pytest.raises(ConfigError, match=named):
        DeploymentConfig.from_dict(deployment().to_dict() | change)


def test_only_replayed_images_count_as_simulated(tmp_path):
    replay = StationConfig(name="a", source=ReplaySource(folder="x", rate_hz=1))
    assert line_config(tmp_path, stations=[replay]).is_simulated
    assert not line_config(tmp_path).is_simulated


def test_stations_have_the_bits_of_their_places_unless_given_others(tmp_path):
    stations = [StationConfig(name=name, source=PushSource()) for name in ("top", "side")]
    assert line_config(tmp_path, stations=stations).station_bits == {"top": 0, "side": 1}
    stations[1] = replace(stations[1], bit=7)
    assert line_config(tmp_path, stations=stations).station_bits == {"top": 0, "side": 7}


@pytest.mark.parametrize("bit", [0, 16])
def test_a_bit_that_another_station_has_or_the_register_has_not_is_refused(tmp_path, bit):
    stations = [
        StationConfig(name="top", source=PushSource()),
        StationConfig(name="a", source=PushSource(), bit=bit),
    ]
    with pytest.raises(ValueError, match="a bit of its own"):
        line_config(tmp_path, stations=stations)
