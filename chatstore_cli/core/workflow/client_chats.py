"""The sessions of a workflow as clients of the multi-agent platform see them: start one, list them, ask about one."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from chatstore_cli.core.sessions.listing import list_sessions
from chatstore_cli.core.workflow.ag2_manager import AG2Manager
from chatstore_cli.domain.artifacts import ArtifactReader, LastArtifact, SessionArtifacts
from chatstore_cli.domain.errors import PrerequisiteRefused
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.domain.session_registry import Prerequisites, SwitchAction, WorkflowRequest
from chatstore_cli.domain.times import Clock, utc_now
from chatstore_cli.domain.workflow.chats import ChatState, ChatWriter

_STARTED = uuid.UUID("6f1d1a8e-5d0f-4a52-9a5a-3b0f8f0f6d11")
"""The name space of the ids of sessions that are started with an id of the client's request."""
_NO_CLIENT_SESSION = "default"
"""The key of the client session that a request without a connection belongs to."""
_MOST_RUNNING = 100
_NEWEST = 20


@dataclass(frozen=True, slots=True)
class StartedChat:
    """A session that was started, or `reused` because the client had just started it."""

    chat_id: str
    reused: bool


@dataclass(frozen=True, slots=True)
class ChatFacts:
    """One session, as a client that opens it needs it."""

    session: Session
    last_sequence: int
    artifacts: SessionArtifacts


class ClientChats:
    """Workflow sessions of one tenant at a time. `reader` is that of the workflow layout.

    `prerequisites` may refuse to start a session.
    """

    def __init__(
        self,
        reader: SessionReader,
        writer: ChatWriter,
        artifacts: ArtifactReader,
        sessions: AG2Manager,
        *,
        prerequisites: Prerequisites | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._reader, self._writer, self._artifacts, self._sessions = reader, writer, artifacts, sessions
        self._prerequisites, self._clock = prerequisites, clock

    @staticmethod
    def new_id() -> str:
        """The id of a new session."""
        return str(uuid.uuid4())

    def create(self, chat_id: str, tenant: str, user: str, workflow: str) -> bool:
        """Create a session; False if it exists. Raises OtherTenant."""
        made = self._sessions.create_session(chat_id, enterprise_id=tenant, user_id=user, workflow_name=workflow)
        return made.changed

    def start(
        self, tenant: str, workflow: str, user: str, *, request_id: str | None, force_new: bool, reuse_seconds: float
    ) -> StartedChat:
        """Start a session, unless this user has started one of this workflow in the last `reuse_seconds`.

        The same `request_id` always means the same session, so that a repeated request starts nothing new.
        Raises PrerequisiteRefused for a new session, and then there is none.
        """
        if request_id is not None:
            chat_id = str(uuid.uuid5(_STARTED, "\0".join((tenant, workflow, user, request_id))))
            if self._writer.load(chat_id) is None:
                self._ask(chat_id, tenant, user, workflow)
            return StartedChat(chat_id, reused=not self.create(chat_id, tenant, user, workflow))
        if not force_new and (running := self._just_started(tenant, workflow, user, reuse_seconds)) is not None:
            return StartedChat(running.session_id, reused=True)
        chat_id = self.new_id()
        self._ask(chat_id, tenant, user, workflow)
        self.create(chat_id, tenant, user, workflow)
        return StartedChat(chat_id, reused=False)

    def newest(self, tenant: str, workflow: str) -> list[str]:
        """The ids of the sessions of a workflow that were updated last, at most 20."""
        return [each.session_id for each in self._list(SessionQuery(tenant_id=tenant, workflow=workflow), _NEWEST)]

    def running(self, tenant: str, user: str, limit: int = _MOST_RUNNING) -> list[tuple[Session, LastArtifact | None]]:
        """The running sessions of a user, the most recently updated first, each with the artifact that it showed last."""
        query = SessionQuery(tenant_id=tenant, user_id=user, status=SessionStatus.RUNNING)
        sessions = self._list(query, limit)
        artifacts = self._artifacts.last_of(sessions)
        return [(each, artifacts.get(each.session_id)) for each in sessions]

    def newest_running(self, tenant: str, user: str, workflow: str) -> Session | None:
        """The running session of a workflow that this user used last."""
        query = SessionQuery(tenant_id=tenant, user_id=user, workflow=workflow, status=SessionStatus.RUNNING)
        return next(iter(self._list(query, 1)), None)

    def find(self, tenant: str, workflow: str | None, chat_id: str) -> Session | None:
        """A session of this tenant and workflow, or None. Without `workflow`, a session of any."""
        session = self._reader.find(chat_id)
        if session is None or session.tenant_id != tenant:
            return None
        return session if workflow is None or session.workflow in (None, workflow) else None

    def facts(self, tenant: str, workflow: str, chat_id: str) -> ChatFacts | None:
        """What a client needs to open a session; None if it does not exist for this tenant."""
        session = self.find(tenant, workflow, chat_id)
        state: ChatState | None = None if session is None else self._writer.load(chat_id)
        if session is None or state is None:
            return None
        return ChatFacts(session, state.last_sequence, self._artifacts.of_session(session))

    def _ask(self, chat_id: str, tenant: str, user: str, workflow: str) -> None:
        """Raise PrerequisiteRefused if the application does not allow this user to start the workflow."""
        if self._prerequisites is None:
            return
        request = WorkflowRequest(SwitchAction.START, tenant, user, _NO_CLIENT_SESSION, workflow, chat_id, None)
        reason = self._prerequisites.refusal(request)
        if reason is not None:
            raise PrerequisiteRefused(chat_id=chat_id, reason=reason)

    def _just_started(self, tenant: str, workflow: str, user: str, seconds: float) -> Session | None:
        query = SessionQuery(tenant_id=tenant, user_id=user, workflow=workflow, status=SessionStatus.RUNNING)
        started_after = self._clock() - timedelta(seconds=seconds)
        found = (each for each in self._list(query, _NEWEST) if each.created_at is not None)
        newest = max(found, key=lambda each: (each.created_at, each.session_id), default=None)
        return newest if newest is not None and newest.created_at and newest.created_at >= started_after else None

    def _list(self, query: SessionQuery, limit: int) -> Sequence[Session]:
        return list_sessions([self._reader], query, cursor=None, limit=limit).sessions


def cache_seed(tenant: str, chat_id: str) -> int:
    """The seed of a session's cache of model answers: the first four bytes of a digest, as the platform computes it."""
    return int.from_bytes(hashlib.sha256(f"{tenant}:{chat_id}".encode()).digest()[:4], "big")
