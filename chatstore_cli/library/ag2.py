"""The library's manager for AG2 agents: it stores their sessions in MongoDB, event by event."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from chatstore_cli.config.settings import (
    GeneralCollections,
    LayoutSettings,
    MongoSettings,
    Settings,
    WorkflowCollections,
)
from chatstore_cli.core.general.chats import GeneralChats
from chatstore_cli.core.mixed_transcript.event_diff import event_diff
from chatstore_cli.core.mixed_transcript.merge import mixed_transcript
from chatstore_cli.core.mixed_transcript.replay import replay
from chatstore_cli.core.mixed_transcript.sources import find_source
from chatstore_cli.core.usage.metrics import SessionMetrics
from chatstore_cli.core.workflow.ag2_manager import AG2Manager
from chatstore_cli.core.workflow.open_chats import checked_id
from chatstore_cli.domain.artifacts import SessionArtifacts
from chatstore_cli.domain.mixed_transcript import (
    WORKFLOW_LAYOUT,
    ClientPosition,
    MixedTurn,
    ReplayBoundary,
    TranscriptSource,
)
from chatstore_cli.domain.times import utc_now
from chatstore_cli.library.configured import configured_settings
from chatstore_cli.wiring.artifacts import artifact_reader
from chatstore_cli.wiring.general import general_chats
from chatstore_cli.wiring.mixed_transcript import transcript_readers
from chatstore_cli.wiring.stores import Stores
from chatstore_cli.wiring.usage import session_metrics
from chatstore_cli.wiring.workflow import event_ports

EVENTS_LOG = logging.getLogger("chatstore.events")


class AG2PersistenceManager(AG2Manager):
    """Stores what AG2's agents emit in one MongoDB collection, and returns the history to resume a session.

    The general chats of users are stored in another collection, by default GeneralChatSessions.
    """

    def __init__(
        self,
        uri: str,
        database: str,
        collection: str = "chat_sessions",
        *,
        segment_messages: int | None = None,
        user_names: Collection[str] = (),
        timeout_seconds: float = 5.0,
        write_concern: str = "majority",
        journaled: bool = True,
    ) -> None:
        """`segment_messages` keeps documents small: that many of the oldest messages at a time move into segments. Only
        readers that use chatstore see segments. `user_names` are further speakers with the role user.

        `uri` may be `embedded`: a MongoDB that chatstore starts itself, from the extra of that name.
        """
        mongo = MongoSettings(
            uri=uri,
            database=database,
            timeout_seconds=timeout_seconds,
            write_concern=write_concern,
            journaled=journaled,
        )
        workflow = WorkflowCollections(sessions=collection, segment_messages=segment_messages)
        general = GeneralCollections()
        if general.sessions == collection:
            general = GeneralCollections(sessions=None)
        self._open(Settings(mongo=mongo, layouts=LayoutSettings(workflow=workflow, general=general)), user_names)

    @classmethod
    def from_config(cls, config_file: str | None = None, *, user_names: Collection[str] = ()) -> AG2PersistenceManager:
        """A manager for the collections of chatstore's configuration (mongo, layouts). Raises BadConfig."""
        manager = cls.__new__(cls)
        manager._open(configured_settings(config_file, _warn), user_names)
        return manager

    def _open(self, settings: Settings, user_names: Collection[str]) -> None:
        self.settings = settings
        self._stores = Stores(settings, say=_say, warn=_warn)
        super().__init__(event_ports(self._stores, _warn), user_names=user_names)

    def ensure_indexes(self) -> list[str]:
        """Create the missing indexes; returns one line per index that was created, or left alone and why.

        Without the indexes, each look-up of a session reads the whole collection. Raises Unreachable, NotAllowed.
        """
        has_general = self.settings.layouts.general.sessions is not None
        layouts = ("workflow", "general") if has_general else ("workflow",)
        return [line for layout in layouts for line in self._stores.create_missing_indexes(layout)]

    @cached_property
    def _general(self) -> GeneralChats:
        """The general chats. Raises BadConfig if their collection is that of the workflow sessions."""
        return general_chats(self._stores, _warn)

    def create_general_chat_session(self, *, app_id: str, user_id: str) -> dict[str, Any]:
        """Create the next general chat of a user: `{"chat_id", "label", "sequence"}`. `sequence` is its number, from 1.

        A number is never used again. Raises InvalidGeneralChat (a ValueError), Conflict, Unreachable.
        """
        return self._general.create_general_chat_session(app_id=app_id, user_id=user_id)

    def append_general_message(
        self,
        *,
        general_chat_id: str,
        app_id: str,
        role: str,
        content: str,
        user_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        event_id: str | None = None,
    ) -> dict[str, Any]:
        """Append a message to a general chat; returns the stored message.

        A role other than user and assistant becomes assistant. `metadata` may have `ui_context`, `workflows` and the
        `agent_name` of the assistant. A repeated call with the same `event_id` stores nothing and returns the message that
        is stored. Raises InvalidGeneralChat; NotFound for a missing chat and for that of another tenant or user; Conflict
        if it was deleted on purpose; DocumentRefused; Unreachable, after which a call with an `event_id` can be repeated.
        """
        return self._general.append_general_message(
            general_chat_id=general_chat_id, app_id=app_id, role=role, content=content,
            user_id=user_id, metadata=metadata, event_id=event_id,
        )  # fmt: skip

    def list_general_chats(self, *, app_id: str, user_id: str, limit: int = 50) -> list[dict[str, Any]]:
        """The newest general chats of a user by `created_at`, at most `limit` (1 to 200).

        The keys are chat_id, label, sequence, status, created_at, last_updated_at and last_sequence.
        """
        return self._general.list_general_chats(app_id=app_id, user_id=user_id, limit=limit)

    def fetch_general_chat_transcript(
        self, *, general_chat_id: str, app_id: str, after_sequence: int = -1, limit: int = 500
    ) -> dict[str, Any] | None:
        """A general chat with its messages; None if it is missing or another tenant's.

        With `after_sequence` of 0 or more, `messages` are the oldest ones after it. To read all, begin with 0 and pass the
        last `sequence` of each page for the next one. With -1 they are the newest ones. At most `limit` (2,000) messages, all
        for 0 or less.
        """
        return self._general.fetch_general_chat_transcript(
            general_chat_id=general_chat_id, app_id=app_id, after_sequence=after_sequence, limit=limit
        )

    @cached_property
    def _metrics(self) -> SessionMetrics:
        """Counts the usage of turns."""
        return session_metrics(self._stores)

    def update_session_metrics(
        self,
        chat_id: str,
        user_id: str | None,
        workflow_name: str | None,
        prompt_tokens: int,
        completion_tokens: int,
        cost_usd: float | Decimal | None,
        app_id: str | None = None,
        *,
        agent_name: str | None = None,
        event_ts: datetime | str | None = None,
        duration_sec: float = 0.0,
        session_type: str = "workflow",
        turn_id: str | None = None,
        model_name: str | None = None,
        cached_tokens: int | None = None,
        reasoning_tokens: int | None = None,
    ) -> None:
        """Count the usage of one turn of a session, in the usage ledger and in the session's counters.

        With `turn_id` a turn counts once, however often it is reported. Without it each call counts. `session_type` is
        "workflow", or "general" for a general chat. `cost_usd` None is unknown, and so is a cost of 0 beside tokens in a
        general chat. With `app_id`, the session must belong to that tenant. `event_ts` is the time of the turn, now by
        default. `model_name` is the model. `cached_tokens` are a part of the prompt's tokens, `reasoning_tokens` of the
        completion's; None is unknown. Raises BadValue; NotFound; OtherTenant for a workflow session of another tenant; Conflict if the turn was
        reported with other numbers; Unreachable, after which a call with a `turn_id` can be repeated.
        """
        self._metrics.update_session_metrics(
            chat_id, user_id, workflow_name, prompt_tokens, completion_tokens, cost_usd, app_id,
            agent_name=agent_name, event_ts=event_ts, duration_sec=duration_sec,
            session_type=session_type, turn_id=turn_id,
            model_name=model_name, cached_tokens=cached_tokens, reasoning_tokens=reasoning_tokens,
        )  # fmt: skip

    def mixed_transcript(
        self, sources: Iterable[TranscriptSource], *, app_id: str, user_id: str | None = None
    ) -> Iterator[MixedTurn]:
        """The turns of several sessions of one tenant in one order, merged while they are read.

        Each session keeps its own order, and of their next turns the earliest comes first. A session of another tenant,
        or of another user than `user_id`, does not exist. Raises BadValue, NotFound, Unreachable.
        """
        tenant = checked_id("app_id", app_id)
        return mixed_transcript(transcript_readers(self._stores), sources, tenant_id=tenant, user_id=user_id)

    def replay(
        self,
        sources: Iterable[TranscriptSource],
        *,
        app_id: str,
        user_id: str | None = None,
        positions: Mapping[TranscriptSource, ClientPosition] | None = None,
        chat: TranscriptSource | None = None,
    ) -> Iterator[MixedTurn | ReplayBoundary]:
        """The turns of these sessions that a client does not have, each once, and then one ReplayBoundary.

        `positions` has what the client has of each session, for example the `positions` of its last boundary; None is a
        new connection. `chat` is the session that the boundary's fields for a single chat describe, by default the first
        workflow session. Nothing is written. Raises BadValue; NotFound; PositionAhead if the client has more than is
        stored; Unreachable; Conflict if a session is replaced by an older copy while it is read.
        """
        tenant = checked_id("app_id", app_id)
        return replay(
            transcript_readers(self._stores), sources,
            clock=utc_now, positions=positions, chat=chat, tenant_id=tenant, user_id=user_id,
        )  # fmt: skip

    def fetch_event_diff(self, *, chat_id: str, app_id: str, last_sequence: int) -> list[dict[str, Any]]:
        """The messages of a workflow session with a sequence above `last_sequence`, in order; empty if it does not exist.

        The keys are role, content, timestamp, event_type, event_id, sequence, agent_name, source and metadata.
        """
        source = TranscriptSource(WORKFLOW_LAYOUT, checked_id("chat_id", chat_id))
        return event_diff(transcript_readers(self._stores), source, checked_id("app_id", app_id), last_sequence)

    def session_artifacts(self, *, chat_id: str, app_id: str) -> SessionArtifacts:
        """The artifact that a workflow session showed last, and the one that it works on. Raises NotFound, Unreachable."""
        source = TranscriptSource(WORKFLOW_LAYOUT, checked_id("chat_id", chat_id))
        tenant = checked_id("app_id", app_id)
        _, session = find_source(transcript_readers(self._stores), source, tenant)
        return artifact_reader(self._stores).of_session(session)

    def __enter__(self) -> AG2PersistenceManager:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._stores.close()


def _say(text: str) -> None:
    EVENTS_LOG.info("[CHAT EVENTS] %s", text)


def _warn(text: str) -> None:
    EVENTS_LOG.warning("[CHAT EVENTS] %s", text)
