import os

import pytest

from inspection.line.config import (
    ConfigError,
    FolderSource,
    PushSource,
    ReplayItem,
    ReplaySource,
    StationConfig,
)
from inspection.line.folder import FolderWatch
from inspection.line.sources import Folder, Push, Replay, make_sources

from ..plc.bench import wait_until
from .factories import frame, picture, png

SETTLE_S, PATIENCE_S = 0.1, 2.0


def images(folder, count=4):
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        (folder / f"{index}.png").write_bytes(png(picture(seed=index)))
    return folder


def names(replay, count):
    return [replay.grab(0, 1.0).name for _ in range(count)]


def started(source, sink=lambda _: True):
    source.start(sink)
    return source


def test_a_replay_gives_one_file_a_trigger_and_starts_over(tmp_path):
    replay = started(Replay(ReplaySource(folder=str(images(tmp_path)))))
    assert replay.is_triggered
    assert names(replay, 6) == ["0.png", "1.png", "2.png", "3.png", "0.png", "1.png"]


def test_a_replay_that_does_not_loop_ends(tmp_path):
    replay = started(Replay(ReplaySource(folder=str(images(tmp_path, 1)), loop=False)))
    assert names(replay, 1) == ["0.png"]
    assert replay.grab(0, 1.0) is None


def test_a_seeded_order_is_a_permutation_and_the_same_for_the_same_seed(tmp_path):
    config = ReplaySource(folder=str(images(tmp_path, 20)), order="seeded", seed=3)
    first, second = (names(started(Replay(config)), 40) for _ in range(2))
    assert first == second
    assert sorted(first[:20]) == sorted(first[20:])
    assert first[:20] != first[20:]


def test_a_replayed_item_keeps_its_name_and_reference(tmp_path):
    images(tmp_path)
    item = ReplayItem(path=str(tmp_path / "1.png"), name="kos01.jpg", reference="17")
    shown = started(Replay(ReplaySource(items=[item]))).grab(0, 1.0)
    assert (shown.name, shown.reference, shown.error) == ("kos01.jpg", "17", "")
    assert shown.encoded == (tmp_path / "1.png").read_bytes()


@pytest.mark.parametrize("damage", ["gone", "empty", "cut short"])
def test_one_bad_file_is_a_bad_frame_and_the_replay_goes_on(tmp_path, damage):
    path = images(tmp_path) / "0.png"
    if damage == "gone":
        items = [ReplayItem(path=str(tmp_path / "none.png")), ReplayItem(path=str(tmp_path / "1.png"))]
        replay = started(Replay(ReplaySource(items=items)))
    else:
        path.write_bytes(b"" if damage == "empty" else path.read_bytes()[:60])
        replay = started(Replay(ReplaySource(folder=str(tmp_path))))
    bad, good = replay.grab(1, 1.0), replay.grab(2, 1.0)
    assert bad.image is None
    assert bad.error
    assert good.image is not None


def test_a_replay_without_a_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="nothing to replay"):
        Replay(ReplaySource(folder=str(tmp_path))).start(lambda _: True)


def test_a_replay_at_a_rate_hands_its_frames_over_by_itself(tmp_path):
    frames = []
    replay = Replay(ReplaySource(folder=str(images(tmp_path)), rate_hz=200))
    replay.start(lambda frame: not frames.append(frame))
    wait_until(lambda: len(frames) >= 5, "five frames")
    replay.stop()
    assert [shown.name for shown in frames[:5]] == ["0.png", "1.png", "2.png", "3.png", "0.png"]


def test_a_push_before_the_start_or_after_the_stop_is_refused():
    source = Push(PushSource())
    assert not source.push(frame())
    source.start(lambda _: True)
    assert source.push(frame())
    source.stop()
    assert not source.push(frame())


def test_each_kind_of_source_is_made_by_its_settings(tmp_path):
    kinds = {
        Replay: ReplaySource(folder=str(tmp_path)),
        Folder: FolderSource(folder=str(tmp_path)),
        Push: PushSource(),
    }
    for kind, config in kinds.items():
        made = make_sources([StationConfig(name="a", source=config)], takes_old_files=False)
        assert isinstance(made["a"], kind)


@pytest.mark.parametrize(
    ("other", "numbers"),
    [("replay", [1, 2, 3, 4]), ("push", [None] * 4)],
    ids=["replays", "a replay, a camera"],
)
def test_the_frames_of_replays_are_numbered_also_where_one_was_left_out(tmp_path, other, numbers):
    config = ReplaySource(folder=str(images(tmp_path)), rate_hz=200)
    sources = {"replay": config, "push": PushSource()}
    stations = [StationConfig(name="a", source=config), StationConfig(name="b", source=sources[other])]
    replay = make_sources(stations, takes_old_files=True)["a"]
    offered = []
    replay.start(lambda frame: offered.append(frame) or len(offered) != 2)
    wait_until(lambda: len(offered) >= 4, "four frames")
    replay.stop()
    assert [frame.trigger_sequence for frame in offered[:4]] == numbers


@pytest.fixture
def watch(tmp_path):
    watch = FolderWatch(FolderSource(folder=str(tmp_path / "in"), settle_s=SETTLE_S, patience_s=PATIENCE_S))
    watch.open(takes_old_files=True)
    return watch


def look(watch, now_s):
    return [(whole.path.name, whole.frame.error) for whole in watch.poll(now_s)]


def test_a_file_is_taken_when_it_stood_still(watch, tmp_path):
    (tmp_path / "in" / "a.png").write_bytes(png(picture()))
    assert look(watch, 10.0) == []
    assert look(watch, 10.05) == []
    assert look(watch, 10.11) == [("a.png", "")]


def test_a_file_that_still_grows_is_left_alone(watch, tmp_path):
    path, whole = tmp_path / "in" / "a.png", png(picture())
    path.write_bytes(whole[:200])
    assert look(watch, 10.0) == []
    path.write_bytes(whole[:400])
    assert look(watch, 10.2) == []
    assert look(watch, 10.4) == [], "it stands still, but cannot be read to its end"
    path.write_bytes(whole)
    assert look(watch, 10.5) == []
    assert look(watch, 10.7) == [("a.png", "")]


def test_a_file_that_is_never_finished_is_a_bad_frame_in_the_end(watch, tmp_path):
    (tmp_path / "in" / "a.png").write_bytes(png(picture())[:200])
    look(watch, 10.0)
    assert look(watch, 11.9) == []
    ((name, error),) = look(watch, 12.1)
    assert name == "a.png"
    assert "cut short" in error


def test_space_that_was_only_reserved_is_not_a_whole_file(watch, tmp_path):
    image = png(picture())
    (tmp_path / "in" / "a.png").write_bytes(image + bytes(1000))
    look(watch, 10.0)
    assert look(watch, 10.5) == []


def test_files_come_in_the_order_they_were_written(watch, tmp_path):
    for index, name in enumerate(("z.png", "a.png", "m.png")):
        path = tmp_path / "in" / name
        path.write_bytes(png(picture()))
        os.utime(path, (index, index))
    look(watch, 10.0)
    assert [name for name, _ in look(watch, 11.0)] == ["z.png", "a.png", "m.png"]


def test_hidden_unfinished_foreign_and_folder_names_are_ignored(watch, tmp_path):
    for name in (".a.png", "a.png.part", "b.tmp", "inspection.sqlite3", "report"):
        (tmp_path / "in" / name).write_bytes(png(picture()))
    (tmp_path / "in" / "sub").mkdir()
    look(watch, 10.0)
    assert look(watch, 20.0) == []


def test_a_taken_file_is_moved_and_one_of_the_same_name_does_not_replace_it(watch, tmp_path):
    for now_s in (10.0, 20.0):
        (tmp_path / "in" / "a.png").write_bytes(png(picture()))
        look(watch, now_s)
        (whole,) = watch.poll(now_s + 1)
        watch.finish(whole)
        assert look(watch, now_s + 2) == []
    assert sorted(path.name for path in (tmp_path / "in" / "done").iterdir()) == ["a.1.png", "a.png"]


def test_a_taken_file_is_removed_where_it_is_not_kept(tmp_path):
    watch = FolderWatch(FolderSource(folder=str(tmp_path), keep=False, settle_s=0.0))
    watch.open(takes_old_files=True)
    (tmp_path / "a.png").write_bytes(png(picture()))
    (whole,) = watch.poll(1.0)
    watch.finish(whole)
    assert list(tmp_path.iterdir()) == []


def test_files_from_before_the_start_are_set_aside_where_a_trigger_says_what_is_wanted(tmp_path):
    (tmp_path / "old.png").write_bytes(png(picture()))
    (tmp_path / "settings.toml").write_text("not the camera's")
    watch = FolderWatch(FolderSource(folder=str(tmp_path), settle_s=0.0))
    watch.open(takes_old_files=False)
    assert look(watch, 10.0) == []
    assert (tmp_path / "missed" / "old.png").exists()
    assert (tmp_path / "settings.toml").exists()


def test_a_watched_folder_hands_files_over_and_keeps_what_the_line_has_no_room_for(tmp_path):
    frames, has_room = [], [False]
    source = Folder(FolderSource(folder=str(tmp_path), settle_s=0.01, poll_s=0.005), takes_old_files=True)
    source.start(lambda shown: has_room[0] and not frames.append(shown))
    (tmp_path / "a.png").write_bytes(png(picture()))
    wait_until(lambda: source._watch._seen, "the file to be seen")
    has_room[0] = True
    wait_until(lambda: frames, "the frame")
    source.stop()
    assert [shown.name for shown in frames] == ["a.png"]
    assert (tmp_path / "done" / "a.png").exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="file"):
        Folder(FolderSource(folder=str(tmp_path / "file")), takes_old_files=True).start(lambda _: True)
