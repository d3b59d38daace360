"""Exporting a session's history as a transcript from which a model can continue."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from chatstore_cli.core.choices import require_one_of
from chatstore_cli.core.readers import find_session
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.domain.workflow.repairs import Repairs
from chatstore_cli.transcripts import ag2
from chatstore_cli.transcripts.registry import AG2, TRANSCRIPTS, Transcript


class ResumedHistory:
    """A session's messages as a transcript. The counters are complete after the last of the `pieces`."""

    def __init__(
        self,
        reader: SessionReader,
        session: Session,
        selection: MessageSelection,
        transcript: Transcript,
        *,
        group_turns_only: bool = False,
    ) -> None:
        self.session = session
        self.messages = 0
        self.left_out = 0
        self.repairs = Repairs()
        self._reader = reader
        # In a chat with the general agent, its messages are the conversation.
        self._selection = replace(selection, include_general=selection.include_general or session.is_general)
        self._transcript = transcript
        self._group_turns_only = group_turns_only

    def pieces(self) -> Iterator[bytes]:
        """The transcript in pieces, as the messages are read."""
        return self._transcript(self._selected(), self.repairs)

    def notes(self) -> list[str]:
        """The notices about the transcript."""
        shared = [] if self.session.shared_id is None else [self.session.shared_id.note()]
        left_out = f"Messages of the general agent that were left out (--include-general keeps them): {self.left_out}"
        if self.left_out and not self.messages:
            left_out = (
                f"Every selected message of session {self.session.session_id!r} is the general agent's, so none was "
                f"written: {self.left_out} left out. To keep them, add --include-general."
            )
        return shared + ([left_out] if self.left_out else []) + self.repairs.notes()

    def _selected(self) -> Iterator[Message]:
        selection = self._selection
        if self._group_turns_only and (selection.last is not None or selection.after_sequence is not None):
            return self._part_of_group_turns(selection)
        if selection.include_general:
            return self._counted(self._read(selection))
        if selection.last is None or selection.last >= self.session.message_count:
            return self._without_general(self._read(replace(selection, last=None, include_general=True)))
        return self._newest_without_general(selection.last)

    def _part_of_group_turns(self, selection: MessageSelection) -> Iterator[Message]:
        """A part of the history that counts only the group chat's turns, which only the whole history identifies."""
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
                # Cheap checks first: this runs for every message of a long history.
                if (message.source or message.metadata) and message.from_general_agent:
                    self.left_out += 1
                else:
                    kept += 1
                    yield message
        finally:
            self.messages = kept

    def _newest_without_general(self, last: int) -> Iterator[Message]:
        # Reads a little more of the end until enough messages remain, so that the left-out ones among them can be counted.
        window = last
        while True:
            end = list(self._read(replace(self._selection, last=window, include_general=True)))
            general = sum(message.from_general_agent for message in end)
            if len(end) < window or window - general >= last:
                break
            window += max(general, last)
        surplus = len(end) - general - last
        start = 0
        while surplus > 0:
            surplus -= not end[start].from_general_agent
            start += 1
        return self._without_general(end[start:])


def open_history(
    readers: Callable[[], Sequence[SessionReader]], session_id: str, selection: MessageSelection, transcript: str
) -> ResumedHistory:
    """The history of a session for a transcript format.

    Raises BadValue for an unknown format before it opens a reader, NotFound for an unknown session, and Conflict if two
    layouts have the id.
    """
    require_one_of("--as", transcript, TRANSCRIPTS)
    reader, session = find_session(readers(), session_id)
    return ResumedHistory(reader, session, selection, TRANSCRIPTS[transcript], group_turns_only=transcript == AG2)
