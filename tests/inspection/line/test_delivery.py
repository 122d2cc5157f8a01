import threading

from inspection.line.config import JournalConfig
from inspection.line.delivery import Delivery
from inspection.line.journal import Journal, journal_numbers, journal_path

from ..plc.bench import wait_until


def part(sequence, trigger=None):
    return {"kind": "part", "sequence": sequence, "trigger_sequence": trigger}


def answer(sequence, given="OK"):
    return {"kind": "answer", "sequence": sequence, "given": given}


class Line:
    """A journal that is written to, and its delivery to a receiver that can be away."""

    def __init__(self, folder, **config):
        self.journal = Journal(folder, JournalConfig(**config))
        self.journal.open("demo")
        self.received = []
        self.is_away = False
        self.tries = 0
        self.delivery = Delivery(self.journal, self.receive)

    def receive(self, records):
        self.tries += 1
        if self.is_away:
            raise ConnectionError("the database is away")
        self.received += records

    def __enter__(self):
        self.delivery.start()
        return self

    def __exit__(self, *_):
        self.delivery.stop()
        self.journal.close()

    @property
    def sequences(self):
        return [record["sequence"] for record in self.received]


def test_parts_are_delivered_once_and_in_order(tmp_path):
    with Line(tmp_path) as line:
        for sequence in range(1, 401):
            line.journal.append(part(sequence), is_urgent=sequence % 50 == 0)
        wait_until(lambda: len(line.received) >= 400, "delivery")
    assert line.sequences == list(range(1, 401))


def test_a_plc_part_waits_for_its_answer_and_comes_with_it(tmp_path):
    with Line(tmp_path) as line:
        line.journal.append(part(1))
        line.journal.append(part(2, trigger=7))
        wait_until(lambda: line.received, "the part without a trigger")
        line.journal.append(answer(2))
        wait_until(lambda: len(line.received) == 2, "the answered part")
    assert line.received[0]["answer"] is None
    assert line.received[1]["answer"]["given"] == "OK"


def test_a_part_whose_answer_was_lost_does_not_hold_up_the_others(tmp_path):
    with Line(tmp_path) as line:
        line.journal.append(part(1, trigger=1))
        line.journal.append(part(2, trigger=2))
        line.journal.append(answer(2))
        wait_until(lambda: len(line.received) == 2, "both")
    assert [record["answer"] is None for record in line.received] == [True, False]


def test_a_part_open_at_a_crash_is_delivered_after_the_restart(tmp_path):
    with Line(tmp_path) as line:
        line.journal.append(part(1, trigger=1))
    assert line.received == []
    with Line(tmp_path) as again:
        wait_until(lambda: again.received, "the part")
    assert again.sequences == [1]
    assert again.received[0]["answer"] is None


def test_nothing_is_lost_or_doubled_while_the_receiver_is_away(tmp_path):
    with Line(tmp_path) as line:
        line.journal.append(part(1))
        wait_until(lambda: line.received, "the first")
        line.is_away = True
        for sequence in range(2, 300):
            line.journal.append(part(sequence))
        wait_until(lambda: line.tries > 2, "tries")
        assert "away" in line.delivery.error
        line.is_away = False
        wait_until(lambda: len(line.received) == 299, "the rest")
    assert line.sequences == list(range(1, 300))
    assert line.delivery.error == ""


def test_delivery_goes_on_after_a_restart_where_it_was(tmp_path):
    with Line(tmp_path) as line:
        line.journal.append(part(1))
        wait_until(lambda: line.received, "the first")
    with Line(tmp_path) as again:
        again.journal.append(part(2))
        wait_until(lambda: again.received, "the second")
    assert (line.sequences, again.sequences) == ([1], [2])


def test_parts_of_a_new_journal_are_delivered_though_the_cursor_of_a_lost_one_is_left(tmp_path):
    with Line(tmp_path) as line:
        for sequence in range(1, 20):
            line.journal.append(part(sequence))
        wait_until(lambda: len(line.received) == 19, "the parts")
    journal_path(tmp_path, 1).unlink()
    with Line(tmp_path) as again:
        again.journal.append(part(20))
        wait_until(lambda: again.received, "the part")
    assert again.sequences == [20]


def test_what_a_stopped_line_could_not_deliver_comes_after_the_next_start(tmp_path):
    with Line(tmp_path) as line:
        line.is_away = True
        line.journal.append(part(1))
        wait_until(lambda: line.tries, "a try")
    with Line(tmp_path) as again:
        wait_until(lambda: again.received, "the part")
    assert again.sequences == [1]


def test_a_damaged_record_is_left_out_and_the_rest_delivered(tmp_path):
    line = Line(tmp_path)
    for sequence in (1, 2, 3):
        line.journal.append(part(sequence))
    path = journal_path(tmp_path, 1)
    path.write_bytes(path.read_bytes().replace(b'"sequence":2', b'"sequence":9'))
    with line:
        wait_until(lambda: len(line.received) == 2, "the others")
    assert line.sequences == [1, 3]


def test_delivered_files_are_removed(tmp_path):
    with Line(tmp_path, rotate_bytes=500, keep_files=2) as line:
        for sequence in range(1, 50):
            line.journal.append(part(sequence))
        wait_until(lambda: len(line.received) == 49, "delivery")
        wait_until(lambda: len(journal_numbers(tmp_path)) <= 3, "the pruning")
    assert line.sequences == list(range(1, 50))


def test_writing_never_waits_for_a_receiver_that_hangs(tmp_path):
    let_go = threading.Event()
    with Line(tmp_path) as line:
        line.delivery._deliver = lambda _: let_go.wait(10)
        for sequence in range(1, 50):
            line.journal.append(part(sequence))
        assert line.journal.last_sequence == 49
        let_go.set()
