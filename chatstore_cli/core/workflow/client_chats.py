"""The sessions of a workflow as clients of the multi-agent platform see them: start one, list them, ask about one."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import chain

from chatstore_cli.core.sessions.listing import list_sessions
from chatstore_cli.core.workflow.ag2_manager import AG2Manager
from chatstore_cli.core.workflow.open_chats import checked_chat, checked_id
from chatstore_cli.domain.artifacts import ArtifactReader, LastArtifact, SessionArtifacts
from chatstore_cli.domain.errors import PrerequisiteRefused
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.domain.session_registry import Prerequisites, SwitchAction, WorkflowRequest
from chatstore_cli.domain.times import Clock, utc_now
from chatstore_cli.domain.workflow.chats import ChatState, ChatWriter, CreatedChat, CreatedChats, NewChat

_STARTED = uuid.UUID("6f1d1a8e-5d0f-4a52-9a5a-3b0f8f0f6d11")
"""The name space of the ids of sessions that clients start."""
_NO_CLIENT_SESSION = "default"
"""The key of the client session that a request without a connection belongs to."""
_MOST_RUNNING = 100
_NEWEST = 20
_MOST_TAKEN = 20
"""Ids in a row that deleted sessions may have taken. Then the next id is random."""


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
        created: CreatedChats,
        writer: ChatWriter,
        artifacts: ArtifactReader,
        sessions: AG2Manager,
        *,
        prerequisites: Prerequisites | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._reader, self._created, self._writer = reader, created, writer
        self._artifacts, self._sessions = artifacts, sessions
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

        A repeated request, by its `request_id`, gets the same session. `force_new` ignores other requests. The id of a
        new session comes from the id of the session before it. So requests that arrive at once, also in several
        processes, try to create the same session, and one of them succeeds. Raises BadValue, and PrerequisiteRefused for a new session.
        """
        chat = checked_chat(self.new_id(), tenant, user, workflow)
        if request_id is not None:
            chat = replace(chat, client_request_id=checked_id("client_request_id", request_id))
        started_after = self._clock() - timedelta(seconds=reuse_seconds)

        def is_just_started(session: Session) -> bool:
            at = session.created_at
            return session.status is SessionStatus.RUNNING and at is not None and at >= started_after

        newest = self._created.newest(SessionQuery(tenant_id=tenant, user_id=user, workflow=workflow), _NEWEST)
        repeated = (each.session for each in newest if request_id is not None and each.client_request_id == request_id)
        started = () if force_new else (each.session for each in newest if is_just_started(each.session))
        if (session := next(chain(repeated, started), None)) is not None:
            return StartedChat(session.session_id, reused=True)
        if not force_new:
            return self._start_after(_last_id(newest), chat, is_just_started)
        before = chat.chat_id if request_id is None else f"request {request_id}"
        return self._start_after(before, chat, lambda _: True)

    def _start_after(self, before: str, chat: NewChat, is_usable: Callable[[Session], bool]) -> StartedChat:
        """Start the session whose id comes from `before`, or use it if another request has started it."""
        for _ in range(_MOST_TAKEN):
            names = (chat.tenant_id, chat.workflow or "", chat.user_id or "", before)
            chat = replace(chat, chat_id=str(uuid.uuid5(_STARTED, "\0".join(names))))
            session = self._reader.find(chat.chat_id)
            if session is None:
                self._ask(chat)
                if self._is_created(chat):
                    return StartedChat(chat.chat_id, reused=False)
                session = self._reader.find(chat.chat_id)
            is_own = session is not None and (session.tenant_id, session.user_id) == (chat.tenant_id, chat.user_id)
            if session is not None and is_own and is_usable(session):
                return StartedChat(chat.chat_id, reused=True)
            before = chat.chat_id  # it was deleted on purpose, or it has ended: the next id is free
        chat = replace(chat, chat_id=self.new_id())
        self._ask(chat)
        self._writer.create(chat, self._clock())
        return StartedChat(chat.chat_id, reused=False)

    def _is_created(self, chat: NewChat) -> bool:
        """Create the session. False if it exists, or was deleted on purpose."""
        return not self._writer.is_deleted(chat.chat_id) and self._writer.create(chat, self._clock()) is not None

    def newest(self, tenant: str, workflow: str) -> list[str]:
        """The ids of the sessions of a workflow that were created last, at most 20."""
        query = SessionQuery(tenant_id=tenant, workflow=workflow)
        return [each.session.session_id for each in self._created.newest(query, _NEWEST)]

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

    def _ask(self, chat: NewChat) -> None:
        """Raise PrerequisiteRefused if the application does not allow this user to start the workflow."""
        if self._prerequisites is None:
            return
        user, workflow = chat.user_id or "", chat.workflow or ""
        key = _NO_CLIENT_SESSION
        request = WorkflowRequest(SwitchAction.START, chat.tenant_id, user, key, workflow, chat.chat_id, None)
        reason = self._prerequisites.refusal(request)
        if reason is not None:
            raise PrerequisiteRefused(chat_id=chat.chat_id, reason=reason)

    def _list(self, query: SessionQuery, limit: int) -> Sequence[Session]:
        return list_sessions([self._reader], query, cursor=None, limit=limit).sessions


def _last_id(newest: Sequence[CreatedChat]) -> str:
    """The id of the session that was created last: the highest one, if there are several of that moment. Empty for none."""
    if not newest:
        return ""
    last = newest[0].session.created_at
    return max(each.session.session_id for each in newest if each.session.created_at == last)


def cache_seed(tenant: str, chat_id: str) -> int:
    """The seed of a session's cache of model answers: the first four bytes of a digest, as the platform computes it."""
    return int.from_bytes(hashlib.sha256(f"{tenant}:{chat_id}".encode()).digest()[:4], "big")
