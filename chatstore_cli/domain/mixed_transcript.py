"""The mixed transcript: the turns of several sessions of one user in one order, and the boundary that ends a replay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.times import rfc3339

GENERAL_LAYOUT = "general"
WORKFLOW_LAYOUT = "workflow"
TRANSCRIPT_LAYOUTS = (WORKFLOW_LAYOUT, GENERAL_LAYOUT)
"""The layouts whose sessions can be sources."""

_LARGEST = 2**63 - 1


class TranscriptSource(NamedTuple):
    """A session whose turns are in the transcript. The layout is part of it, because two layouts may have one id."""

    layout: str
    session_id: str

    def __str__(self) -> str:
        return f"{self.layout}:{self.session_id}"

    def to_dict(self) -> dict[str, str]:
        """The source as a JSON object."""
        return {"layout": self.layout, "session_id": self.session_id}


@dataclass(frozen=True, slots=True)
class ClientPosition:
    """How much of one source a client has. Without numbers, or with -1, it has nothing.

    `sequence`: every turn up to this sequence. `index`: the first `index` + 1 turns. If both are given, `sequence`
    decides, and `index` only numbers the turns after it.
    """

    sequence: int | None = None
    index: int | None = None

    def __post_init__(self) -> None:
        for name, number in (("sequence", self.sequence), ("index", self.index)):
            if number is not None and (type(number) is not int or not -1 <= number <= _LARGEST):
                shown = number if isinstance(number, int | str) else f"<{type(number).__name__}>"
                raise BadValue(name=name, value=shown, expected="a number from 0, or -1 for nothing")

    @property
    def is_nothing(self) -> bool:
        """Whether the client has no turn of the source."""
        return self.sequence == -1 or (self.sequence is None and self.index in (None, -1))


NOTHING = ClientPosition()
"""The position of a client that has no turn of a source."""


class MixedTurn(NamedTuple):
    """One turn with its source.

    `index_in_source` is the position of the turn among all messages of its source, from 0, messages in segments included.
    It is None if the replay began after a sequence without an index. `position` is that of a client that has received the
    turn, and all turns of its source before it.
    """

    source: TranscriptSource
    message: Message
    index_in_source: int | None = None
    position: ClientPosition = NOTHING

    @property
    def is_general(self) -> bool:
        """Whether the turn is of a conversation with the general assistant, in a general chat or in a workflow session."""
        return self.source.layout == GENERAL_LAYOUT or self.message.from_general_agent


class ReplayMode(StrEnum):
    """What caused a replay: a new connection, or a client that reported what it has."""

    AUTO = "auto"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class ReplayedSource:
    """One source at the end of a replay.

    `position` is what the client has now: the next replay continues there. `message_count` is the number of
    turns up to the position if its index is known, otherwise the number when the replay began. `start` is the index of
    the first turn after the client's position, None if it is not known.
    """

    source: TranscriptSource
    position: ClientPosition
    replayed: int
    message_count: int
    status: str
    start: int | None
    last_speaker: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The source as a JSON object."""
        return {
            **self.source.to_dict(),
            "sequence": self.position.sequence,
            "index": self.position.index,
            "message_count": self.message_count,
            "status": self.status,
            "replayed_messages": self.replayed,
        }


@dataclass(frozen=True, slots=True)
class ReplayBoundary:
    """The last record of every replay, also of one without turns.

    `chat` is the source that the fields for a single chat describe. `last_client_index` is the index that the client
    reported for it.
    """

    chat: ReplayedSource
    sources: tuple[ReplayedSource, ...]
    mode: ReplayMode
    timestamp: datetime
    last_client_index: int | None = None

    @property
    def positions(self) -> Mapping[TranscriptSource, ClientPosition]:
        """What the client has now of each source, for the next replay."""
        return {each.source: each.position for each in self.sources}

    def to_dict(self) -> dict[str, Any]:
        """The boundary with the field names of the WebSocket protocol, and `sources`, which has all of them.

        `ag2_resume` has no `events`: these are the turns before the boundary.
        """
        chat = self.chat
        resumed: dict[str, Any] = {
            "mode": self.mode.value,
            "start_index": chat.start,
            "last_index": chat.position.index,
        }
        if chat.last_speaker is not None:
            resumed["last_speaker_name"] = chat.last_speaker
        context: dict[str, Any] = {"reason": "on_connect"}
        if self.mode is ReplayMode.CLIENT:
            context = {"reason": "client_resume", "last_client_index": self.last_client_index}
        return {
            "kind": "resume_boundary",
            "chat_id": chat.source.session_id,
            "message_count": chat.message_count,
            "chat_status": chat.status,
            "replayed_messages": sum(each.replayed for each in self.sources),
            "last_message_index": chat.position.index,
            "resume_mode": self.mode.value,
            "timestamp": rfc3339(self.timestamp),
            "ag2_resume": resumed,
            "resume_context": context,
            "sources": [each.to_dict() for each in self.sources],
        }
