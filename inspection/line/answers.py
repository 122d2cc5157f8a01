"""Which part an answer of the PLC link belongs to."""

from collections import deque
from collections.abc import Iterator

from inspection.plc.link import Answer, Trigger


class AnswerBook:
    """Brings each answer that the PLC was given together with the sequence of its part.

    The link answers a part whose deadline passes by itself, perhaps before it was judged: such an answer
    waits until the part has a sequence. `given` may be called from any thread; the rest is the judge's.
    """

    def __init__(self) -> None:
        self._given: deque[Answer] = deque()
        self._sequences: dict[Trigger, int] = {}
        self._early: dict[Trigger, Answer] = {}

    def __len__(self) -> int:
        """Answers that were not looked at yet."""
        return len(self._given)

    def given(self, answer: Answer) -> None:
        """The PLC was given this."""
        self._given.append(answer)

    def expect(self, trigger: Trigger, sequence: int) -> None:
        """The part of a trigger has its sequence."""
        self._sequences[trigger] = sequence
        early = self._early.pop(trigger, None)
        if early is not None:
            self._given.append(early)

    def matched(self) -> Iterator[tuple[Answer, int]]:
        """Answers with their parts' sequences, each once, in the order in which they were given."""
        while self._given:
            answer = self._given.popleft()
            sequence = self._sequences.pop(answer.trigger, None)
            if sequence is None:
                self._early[answer.trigger] = answer
            else:
                yield answer, sequence
