"""What a line's process adds to its runtime; the whole process is in `tests/inspection/test_line_process.py`."""

from pathlib import Path

import django.db
import pytest

from inspection.edge import process as process_module
from inspection.edge.process import LineProcess, load_config
from inspection.line.frames import frame_from_bytes
from inspection.line.runtime import LineRuntime
from inspection.services.delivery import deliver_records
from inspection.services.lines import LineUnusable, line_folder
from tests.inspection.factories import make_line, part_record

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("folders", "told")]


@pytest.fixture(autouse=True)
def connection_stays(monkeypatch):
    """The test's transaction outlives what a worker's step would end."""
    monkeypatch.setattr(process_module, "close_old_connections", lambda: None)


def judged_sequence(runtime: LineRuntime) -> int:
    runtime.start()
    try:
        return runtime.inspect({"top": frame_from_bytes(b"none", "a.png")})["sequence"]
    finally:
        runtime.stop()


def test_a_line_whose_journal_is_lost_numbers_its_parts_behind_those_in_the_database():
    line = make_line()
    deliver_records(line=line, records=[part_record(1), part_record(41)])
    assert not (line_folder(line.slug) / "journal").exists()
    assert judged_sequence(LineRuntime(load_config(line.slug), lambda _: None)) == 42


def test_a_journal_that_is_ahead_of_the_database_goes_on_with_its_own_numbers():
    line = make_line()
    config = load_config(line.slug)
    assert [judged_sequence(LineRuntime(config, lambda _: None)) for _ in range(2)] == [1, 2]


def test_a_part_under_a_number_that_the_database_has_is_an_alarm():
    line = make_line()
    deliver_records(line=line, records=[part_record(7)])
    process = LineProcess(load_config(line.slug), lambda: None)
    process._deliver([part_record(7, hash="f" * 64)])
    assert "7 to 7" in process.runtime.alarms.standing["journal_conflict"]


def test_a_line_that_starts_without_the_database_never_watches_the_system_s_own_folder(monkeypatch, settings):
    line = make_line(source="folder")
    line.stations.update(source_settings={"path": "/srv/camera"})
    load_config(line.slug)

    def away(slug: str):
        raise django.db.OperationalError("away")

    monkeypatch.setattr(process_module, "first_deployment", away)
    assert load_config(line.slug).stations[0].source.folder == "/srv/camera"
    settings.VAR_DIR = Path("/srv/camera/var")
    with pytest.raises(LineUnusable, match="keeps its own files there"):
        load_config(line.slug)
