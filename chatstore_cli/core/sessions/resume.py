"""Handing a session's history back, so that a model can go on from it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from chatstore_cli.core.readers import find_session
from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.domain.workflow.repairs import Repairs
from chatstore_cli.transcripts import ag2
from chatstore_cli.transcripts.registry import AG2, TRANSCRIPTS, Transcript


class History:
    """A session's messages on their way into a transcript. What is counted is known once `pieces` has come to its end."""

    def __init__(
        self,
        reader: SessionReader,
        session: Session,
        selection: MessageSelection,
        transcript: Transcript,
        *,
        of_the_group: bool = False,
    ) -> None:
        self.session = session
        self.messages = 0
        self.left_out = 0
        self.repairs = Repairs()
        self._reader = reader
        self._selection = selection
        self._transcript = transcript
        self._of_the_group = of_the_group

    def pieces(self) -> Iterator[bytes]:
        """The transcript, a piece at a time, as the messages are read."""
        return self._transcript(self._selected(), self.repairs)

    def notes(self) -> list[str]:
        """What is to be told beside the transcript."""
        left_out = f"Messages of the general agent, left out (--include-general keeps them): {self.left_out}"
        return ([left_out] if self.left_out else []) + self.repairs.notes()

    def _selected(self) -> Iterator[Message]:
        selection = self._selection
        if self._of_the_group and (selection.last is not None or selection.after_sequence is not None):
            return self._cut_from_the_group(selection)
        if selection.include_general:
            return self._counted(self._read(selection))
        if selection.last is None or selection.last >= self.session.message_count:
            return self._without_general(self._read(replace(selection, last=None, include_general=True)))
        return self._newest_without_general(selection.last)

    def _cut_from_the_group(self, selection: MessageSelection) -> Iterator[Message]:
        """A part of the history in which only the group chat's turns count: what those are, the whole of it tells."""
        managers = ag2.group_managers(self._read(MessageSelection()))
        messages = self._read(replace(selection, last=None, include_general=True))
        if not selection.include_general:
            messages = self._without_general(messages)
        turns: Iterable[Message] = ag2.group_turns(messages, managers, self.repairs)
        if selection.last is not None:
            turns = deque(turns, maxlen=selection.last)
        self.messages = 0
        for message in turns:
            yield message
            self.messages += 1

    def _read(self, selection: MessageSelection) -> Iterator[Message]:
        return self._reader.messages(self.session.session_id, selection)

    def _counted(self, messages: Iterable[Message]) -> Iterator[Message]:
        for message in messages:
            self.messages += 1
            yield message

    def _without_general(self, messages: Iterable[Message]) -> Iterator[Message]:
        kept = 0
        try:
            for message in messages:
                # What has neither of the two is asked no further: this runs for every message of a long history.
                if (message.source or message.metadata) and message.from_general_agent:
                    self.left_out += 1
                else:
                    kept += 1
                    yield message
        finally:
            self.messages = kept

    def _newest_without_general(self, last: int) -> Iterator[Message]:
        # A little more of the end is read until enough is left, so that what was left out among them can be counted.
        asked = last
        while True:
            end = list(self._read(replace(self._selection, last=asked, include_general=True)))
            general = sum(message.from_general_agent for message in end)
            if len(end) < asked or asked - general >= last:
                break
            asked += max(general, last)
        surplus = len(end) - general - last
        start = 0
        while surplus > 0:
            surplus -= not end[start].from_general_agent
            start += 1
        return self._without_general(end[start:])


def open_history(
    readers: Callable[[], Sequence[SessionReader]], session_id: str, selection: MessageSelection, transcript: str
) -> History:
    """The history of the session of that id, to become the transcript of that name.

    Raises BadValue where there is no such transcript, before a reader is asked for; NotFound where there is no such
    session, and Conflict where two layouts have it.
    """
    if transcript not in TRANSCRIPTS:
        raise BadValue(name="--as", value=transcript, expected=" or ".join(TRANSCRIPTS))
    reader, session = find_session(readers(), session_id)
    return History(reader, session, selection, TRANSCRIPTS[transcript], of_the_group=transcript == AG2)
