import json
import os
import resource
import threading
from contextlib import contextmanager

import pytest

from inspection.line.config import JournalConfig
from inspection.line.journal import (
    Cursor,
    Journal,
    JournalError,
    Position,
    journal_numbers,
    journal_path,
    read_records,
    verify,
)

from ..plc.bench import wait_until


@contextmanager
def opened(folder, **config):
    journal = Journal(folder, JournalConfig(**config))
    journal.open("demo")
    try:
        yield journal
    finally:
        journal.close()


@contextmanager
def disk_that_is_full_after(path, room=0):
    """The kernel itself refuses to let any file of this process grow beyond what `path` has now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def part(sequence, **fields):
    return {"kind": "part", "sequence": sequence, "trigger_sequence": None} | fields


def sequences(folder):
    return [record["sequence"] for _, record in read_records(folder) if record["kind"] == "part"]


def test_records_are_numbered_chained_and_read_back(tmp_path):
    with opened(tmp_path) as journal:
        first, second = journal.append(part(1)), journal.append(part(2, note="Maß"))
    assert second["previous_hash"] == first["hash"]
    assert [record["kind"] for _, record in read_records(tmp_path)] == ["start", "part", "part"]
    assert verify(tmp_path).faults == ()
    assert verify(tmp_path).records == 3


def test_the_sequence_and_the_chain_go_on_after_a_restart(tmp_path):
    with opened(tmp_path) as journal:
        journal.append(part(41))
    with opened(tmp_path) as journal:
        assert journal.last_sequence == 41
        journal.append(part(42))
    assert verify(tmp_path).faults == ()


def test_a_record_that_was_changed_shows(tmp_path):
    with opened(tmp_path) as journal:
        journal.append(part(1, verdict="NG"))
        journal.append(part(2, verdict="OK"))
    path = journal_path(tmp_path, 1)
    path.write_text(path.read_text().replace('"NG"', '"OK"'))
    assert verify(tmp_path).faults == (
        "journal-00000001.jsonl, line 2: damaged or changed",
        "journal-00000001.jsonl, line 3: does not follow the record before it",
    )


def test_a_record_that_was_removed_shows(tmp_path):
    with opened(tmp_path) as journal:
        for sequence in (1, 2, 3):
            journal.append(part(sequence))
    path = journal_path(tmp_path, 1)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:2] + lines[3:]))
    assert verify(tmp_path).faults == (
        "journal-00000001.jsonl, line 3: does not follow the record before it",
    )


@pytest.mark.parametrize("torn", [b'{"kind": "part", "seq', b"\0" * 100, b"\xff\xfe\n", b"{}x\n"])
def test_a_last_line_that_a_crash_left_is_cut_off_and_nothing_else(tmp_path, torn):
    with opened(tmp_path) as journal:
        journal.append(part(1))
    path = journal_path(tmp_path, 1)
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    with opened(tmp_path) as journal:
        assert journal.repaired_bytes == len(torn)
        assert journal.last_sequence == 1
        journal.append(part(2))
    assert path.read_bytes().startswith(whole)
    assert sequences(tmp_path) == [1, 2]
    assert verify(tmp_path).faults == ()


def test_a_damaged_record_in_the_middle_is_kept_left_out_and_reported(tmp_path):
    with opened(tmp_path) as journal:
        for sequence in (1, 2, 3):
            journal.append(part(sequence))
    path = journal_path(tmp_path, 1)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = b"#" * (len(lines[2]) - 1) + b"\n"
    path.write_bytes(b"".join(lines))
    with opened(tmp_path) as journal:
        assert journal.repaired_bytes == 0
        assert journal.last_sequence == 3
    assert sequences(tmp_path) == [1, 3]
    assert len(verify(tmp_path).faults) == 2


def test_a_new_file_is_begun_by_size_and_the_chain_goes_on(tmp_path):
    with opened(tmp_path, rotate_bytes=1000) as journal:
        for sequence in range(1, 21):
            journal.append(part(sequence, note="x" * 100))
    assert len(journal_numbers(tmp_path)) > 3
    assert sequences(tmp_path) == list(range(1, 21))
    assert verify(tmp_path).faults == ()
    with opened(tmp_path, rotate_bytes=1000) as journal:
        assert journal.last_sequence == 20


def test_a_restart_right_after_a_rotation_finds_the_sequence_in_the_file_before(tmp_path):
    with opened(tmp_path) as journal:
        journal.append(part(7))
    journal_path(tmp_path, 2).touch()
    with opened(tmp_path) as journal:
        assert journal.last_sequence == 7
        journal.append(part(8))
    assert verify(tmp_path).faults == ()


def test_a_full_disk_refuses_the_record_and_leaves_nothing_of_it(tmp_path):
    with opened(tmp_path) as journal:
        journal.append(part(1))
        path = journal_path(tmp_path, 1)
        before = path.read_bytes()
        with disk_that_is_full_after(path, room=30), pytest.raises(JournalError):
            journal.append(part(2))
        assert path.read_bytes() == before
        journal.append(part(3))
    assert sequences(tmp_path) == [1, 3]
    assert verify(tmp_path).faults == ()


def test_a_folder_that_cannot_be_used_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(JournalError, match="file"):
        Journal(tmp_path / "file").open("demo")


def test_a_number_that_json_has_no_word_for_is_refused(tmp_path):
    with opened(tmp_path) as journal, pytest.raises(ValueError, match="JSON"):
        journal.append(part(1, score=float("nan")))
    assert sequences(tmp_path) == []


def test_each_record_is_durable_at_once_where_the_policy_says_so(tmp_path):
    with opened(tmp_path, fsync_ms=0) as journal:
        before = journal.durable
        journal.append(part(1))
        assert journal.durable > before
        assert journal.durable.offset == journal_path(tmp_path, 1).stat().st_size


def test_what_is_not_synced_at_once_is_durable_soon_without_another_record(tmp_path):
    with opened(tmp_path, fsync_ms=10) as journal:
        before = journal.durable
        journal.append(part(1))
        assert journal.wait_for_more(before, 5)


def test_everything_is_durable_after_closing(tmp_path):
    with opened(tmp_path, fsync_ms=60_000) as journal:
        journal.append(part(1))
    assert journal.durable.offset == journal_path(tmp_path, 1).stat().st_size


def test_appending_does_not_wait_for_a_slow_disk_where_the_policy_gives_it_time(tmp_path, monkeypatch):
    entered, let_go, sync = threading.Event(), threading.Event(), os.fdatasync

    def slow(fd):
        entered.set()
        assert let_go.wait(10)
        sync(fd)

    with opened(tmp_path, fsync_ms=1) as journal:
        monkeypatch.setattr(os, "fdatasync", slow)
        journal.append(part(1))
        assert entered.wait(5)
        journal.append(part(2))
        assert journal.last_sequence == 2
        let_go.set()


def test_a_sync_that_fails_behind_the_writers_back_fails_the_next_record(tmp_path, monkeypatch):
    def fail(fd):
        raise OSError(5, "Input/output error")

    with opened(tmp_path, fsync_ms=1) as journal:
        with monkeypatch.context() as broken:
            broken.setattr(os, "fdatasync", fail)
            journal.append(part(1))
            wait_until(lambda: journal._sync_error, "the failure")
        with pytest.raises(JournalError, match="Input/output"):
            journal.append(part(2))
        journal.append(part(3))


def test_what_is_not_durable_yet_is_not_shown_to_readers(tmp_path):
    with opened(tmp_path, fsync_ms=60_000) as journal:
        before = journal.durable
        journal.append(part(1))
        assert journal.durable == before
        assert not [record for _, record in read_records(tmp_path, before, journal.durable)]
        assert not journal.wait_for_more(before, 0.01)


def test_a_reader_goes_on_where_it_was(tmp_path):
    with opened(tmp_path, rotate_bytes=600) as journal:
        for sequence in range(1, 11):
            journal.append(part(sequence, note="x" * 50))
    all_of_them = list(read_records(tmp_path))
    for index, (position, _) in enumerate(all_of_them):
        assert list(read_records(tmp_path, position)) == all_of_them[index + 1 :]


def test_an_unfinished_line_is_left_to_the_next_reading(tmp_path):
    with opened(tmp_path) as journal:
        journal.append(part(1))
    path = journal_path(tmp_path, 1)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert sequences(tmp_path) == []
    path.write_bytes(whole)
    assert sequences(tmp_path) == [1]


def test_delivered_files_are_pruned_but_for_the_newest(tmp_path):
    with opened(tmp_path, rotate_bytes=300, keep_files=2) as journal:
        for sequence in range(1, 11):
            journal.append(part(sequence, note="x" * 100))
        numbers = journal_numbers(tmp_path)
        assert journal.prune(Position(numbers[1], 0)) == 1
        assert journal.prune(Position(numbers[-1], 0)) == len(numbers) - 3
        assert journal_numbers(tmp_path) == numbers[-2:]
    assert verify(tmp_path).faults == ()


def test_a_cursor_survives_and_a_broken_one_starts_over(tmp_path):
    cursor = Cursor(tmp_path / "cursor")
    assert cursor.load() == Position(0, 0)
    cursor.save(Position(3, 99))
    assert Cursor(tmp_path / "cursor").load() == Position(3, 99)
    (tmp_path / "cursor").write_text("{")
    assert cursor.load() == Position(0, 0)


def test_a_journal_line_is_plain_json(tmp_path):
    with opened(tmp_path) as journal:
        journal.append(part(1))
    assert json.loads(journal_path(tmp_path, 1).read_text().splitlines()[1])["sequence"] == 1
