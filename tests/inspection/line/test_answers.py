from inspection.line.answers import AnswerBook
from inspection.plc.clock import utc_now
from inspection.plc.link import Answer, Trigger
from inspection.plc.registers import ResultCode


def trigger(sequence, connection=1):
    return Trigger(
        sequence=sequence,
        serial="",
        received_s=0.0,
        received_at=utc_now(),
        deadline_s=1.0,
        connection=connection,
        overlooked=0,
    )


def answer(to, given=ResultCode.OK):
    return Answer(trigger=to, given=given)


def test_an_answer_comes_out_once_with_its_parts_sequence():
    book, first = AnswerBook(), trigger(7)
    book.expect(first, 101)
    book.given(answer(first))
    assert len(book) == 1
    assert list(book.matched()) == [(answer(first), 101)]
    assert list(book.matched()) == []
    assert len(book) == 0


def test_an_answer_from_before_the_verdict_waits_for_its_part_and_holds_up_no_other():
    book, late, next_one = AnswerBook(), trigger(7), trigger(8)
    book.given(answer(late, ResultCode.ERROR))
    book.expect(next_one, 102)
    book.given(answer(next_one))
    assert list(book.matched()) == [(answer(next_one), 102)]
    book.expect(late, 101)
    assert list(book.matched()) == [(answer(late, ResultCode.ERROR), 101)]


def test_the_same_number_after_the_plc_counted_anew_is_another_part():
    book, before, after = AnswerBook(), trigger(7, connection=1), trigger(7, connection=2)
    book.expect(before, 101)
    book.expect(after, 205)
    book.given(answer(after))
    book.given(answer(before))
    assert [sequence for _, sequence in book.matched()] == [205, 101]
