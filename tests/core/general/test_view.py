"""Pages of a general chat: together they have every message once, in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatstore_cli.core.general.view import page_of
from chatstore_cli.domain.message import Message


@given(st.lists(st.none() | st.integers(1, 9)), st.integers(1, 5))
def test_pages_have_every_message_once(numbers: list[int | None], limit: int) -> None:
    """A reader returns messages in order of sequence. One without a sequence follows the one that it was stored after."""
    stored = [Message("g-1", "user", place, sequence=number) for place, number in enumerate(numbers)]
    place, placed = 0, []
    for message in stored:
        place = message.sequence or place
        placed.append((place, message))
    placed.sort(key=lambda each: each[0])
    read: list[Message] = []
    after: int | None = 0
    first = True
    while after is not None:
        beyond = iter([message for place, message in placed if place > after or first])
        first = False
        page = page_of(beyond, limit)
        assert len(page.messages) >= min(limit, len(placed) - len(read))
        read += page.messages
        after = page.next_after
    assert read == [message for _, message in placed]
