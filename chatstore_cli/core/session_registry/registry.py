"""The session registry of an application: workflows of client sessions, found by the connections attached to them."""

from __future__ import annotations

from collections.abc import Callable

from chatstore_cli.core.retry import attempt_until_done
from chatstore_cli.core.session_registry import rules
from chatstore_cli.core.session_registry.rules import Attempt, Outcome
from chatstore_cli.domain.errors import BadValue, Conflict, PrerequisiteRefused
from chatstore_cli.domain.session_registry import (
    KEPT_SWITCHES,
    ClientSession,
    Prerequisites,
    RegistryEntry,
    RegistryStore,
    Switch,
    SwitchAction,
    WorkflowContext,
    WorkflowRequest,
)
from chatstore_cli.domain.times import Clock, to_milliseconds, utc_now

MOST_BYTES = 4_000
"""The longest id, in bytes of UTF-8."""
_MOST_SESSIONS = 10_000


class SessionRegistry:
    """Tracks the workflows of client sessions. Thread-safe.

    A connection belongs to the process that accepted it, so the attachments of connections are in the memory of this
    object. Everything else is in the store: other processes, and this one after a restart, continue with the same state.
    """

    def __init__(
        self, store: RegistryStore, *, prerequisites: Prerequisites | None = None, clock: Clock = utc_now
    ) -> None:
        """`prerequisites` may refuse to start workflows and to switch to them. `clock` is that of the store's server."""
        self._store = store
        self._prerequisites = prerequisites
        self._clock = clock
        self._attached: dict[str, ClientSession] = {}

    def attach(self, ws_id: str, app_id: str, user_id: str, session_key: str | None = None) -> None:
        """Attach a connection to the client session of this tenant, user and key. By default `ws_id` is the key.

        Nothing is stored. A connection that is attached to another client session is detached from it.
        """
        self._attach(ws_id, app_id, user_id, ws_id if session_key is None else session_key)

    def remove_session(self, ws_id: str) -> None:
        """Detach a connection. The state of its client session is kept."""
        self._attached.pop(ws_id, None)

    def add_workflow(
        self,
        ws_id: str,
        chat_id: str,
        workflow_name: str,
        app_id: str,
        user_id: str,
        artifact_id: str | None = None,
        auto_activate: bool = True,
    ) -> WorkflowContext | None:
        """Register a workflow; unless `auto_activate` is False, activate it and pause the others. None if it is completed.

        If the connection was never attached, `ws_id` becomes the key of a client session. A registered workflow keeps its
        artifact if `artifact_id` is None. Of more than 1,000 workflows one leaves the list: a completed one, or the paused
        one that was active longest ago. Raises PrerequisiteRefused, and Conflict if the connection belongs to another user.
        """
        _checked("chat_id", chat_id)
        _checked("workflow_name", workflow_name)
        if artifact_id is not None:
            _checked("artifact_id", artifact_id)
        session = self._attached.get(ws_id) or self._attach(ws_id, app_id, user_id, ws_id)
        if session[:2] != (app_id, user_id):
            raise Conflict(
                what=f"Connection {ws_id!r} is attached to a client session of another tenant or user.",
                hint="Detach it first (remove_session).",
            )
        return self._change(
            ws_id,
            session,
            lambda entry, attempt: rules.start(
                entry, chat_id, workflow_name, artifact_id, attempt, activate=auto_activate
            ),
        )

    def switch_workflow(self, ws_id: str, chat_id: str) -> WorkflowContext | None:
        """Activate a registered workflow and pause the others. None if it is unknown or completed; then nothing changes.

        Raises PrerequisiteRefused.
        """
        _checked("chat_id", chat_id)
        return self._change(
            ws_id, self._attached.get(ws_id), lambda entry, attempt: rules.switch(entry, chat_id, attempt)
        )

    def enter_general_mode(self, ws_id: str) -> None:
        """Pause all workflows and enter general mode. An unknown connection has no mode."""
        self._change(ws_id, self._attached.get(ws_id), rules.enter_general_mode)

    def complete_workflow(self, ws_id: str, chat_id: str) -> None:
        """Complete a workflow. If it was active, none is active afterwards; general mode is not entered."""
        _checked("chat_id", chat_id)
        self._change(ws_id, self._attached.get(ws_id), lambda entry, attempt: rules.complete(entry, chat_id, attempt))

    def get_active_workflow(self, ws_id: str) -> WorkflowContext | None:
        """The active workflow of the connection's client session."""
        entry = self._entry(ws_id)
        return None if entry is None else entry.active

    def get_all_workflows(self, ws_id: str) -> list[WorkflowContext]:
        """All workflows of the connection's client session, in the order in which they were added."""
        entry = self._entry(ws_id)
        return [] if entry is None else list(entry.workflows)

    def get_workflow_by_chat_id(self, ws_id: str, chat_id: str) -> WorkflowContext | None:
        """One workflow of the connection's client session."""
        entry = self._entry(ws_id)
        return None if entry is None else entry.workflow(chat_id)

    def is_in_general_mode(self, ws_id: str) -> bool:
        """Whether the connection's client session has entered general mode. An unknown connection has not."""
        entry = self._entry(ws_id)
        return entry is not None and entry.general_mode

    def history(self, ws_id: str, limit: int = 50) -> list[Switch]:
        """The newest switches of the connection's client session, the newest first. At most 500 are kept."""
        session = self._attached.get(ws_id)
        return [] if session is None or limit < 1 else self._store.switches(session, min(limit, KEPT_SWITCHES))

    def client_sessions(self, app_id: str, user_id: str, limit: int = 20) -> list[RegistryEntry]:
        """The client sessions of a user that were changed last, the newest first. At most 10,000."""
        owner = _checked("app_id", app_id), _checked("user_id", user_id)
        return [] if limit < 1 else self._store.newest(*owner, min(limit, _MOST_SESSIONS))

    def _attach(self, ws_id: str, app_id: str, user_id: str, session_key: str) -> ClientSession:
        session = ClientSession(
            _checked("app_id", app_id), _checked("user_id", user_id), _checked("session_key", session_key)
        )
        self._attached[_checked("ws_id", ws_id)] = session
        return session

    def _entry(self, ws_id: str) -> RegistryEntry | None:
        session = self._attached.get(ws_id)
        return None if session is None else self._store.find(session)

    def _change(
        self, ws_id: str, session: ClientSession | None, rule: Callable[[RegistryEntry, Attempt], Outcome]
    ) -> WorkflowContext | None:
        """Apply a rule to the newest entry. If the entry changes before the outcome is stored, apply the rule again."""
        if session is None:
            return None
        ask = _AskedOnce(self._prerequisites)

        def once() -> tuple[Outcome, str | None] | None:
            entry = self._store.find(session) or RegistryEntry(session)
            attempt = Attempt(ws_id, to_milliseconds(self._clock()))
            outcome = rule(entry, attempt)
            if outcome.switch is None:
                return outcome, None
            reason = ask.refusal(entry, outcome)
            if reason is not None:
                outcome = rules.refused(entry, outcome.switch.action, outcome.switch.to_chat_id, reason, attempt)
            assert outcome.switch is not None
            return (outcome, reason) if self._store.change(entry, outcome.entry, outcome.switch) else None

        outcome, reason = attempt_until_done(once, lambda: _busy(session))
        if reason is not None and outcome.switch is not None:
            hint = "Nothing was changed. The prerequisites hook of the application decides which workflows are allowed."
            raise PrerequisiteRefused(chat_id=outcome.switch.to_chat_id, reason=reason, hint=hint)
        return outcome.workflow


class _AskedOnce:
    """Asks the prerequisites once for each request of one call, before anything is changed.

    If the entry changes before the switch is stored, the rules are applied again, and the first answer still counts: it does
    not depend on what else the client session contains.
    """

    def __init__(self, prerequisites: Prerequisites | None) -> None:
        self._prerequisites = prerequisites
        self._answers: dict[WorkflowRequest, str | None] = {}

    def refusal(self, entry: RegistryEntry, outcome: Outcome) -> str | None:
        """The reason to refuse a workflow that is new in the entry or that is switched to; None for all others."""
        workflow, switch = outcome.workflow, outcome.switch
        if self._prerequisites is None or workflow is None or switch is None:
            return None
        is_new = entry.workflow(workflow.chat_id) is None
        if not is_new and switch.action != SwitchAction.SWITCH:
            return None  # it is completed, or only gets another artifact
        action = SwitchAction.START if is_new else SwitchAction.SWITCH
        request = WorkflowRequest(
            action, *entry.session, workflow.workflow_name, workflow.chat_id, workflow.artifact_id
        )
        if request not in self._answers:
            self._answers[request] = self._prerequisites.refusal(request)
        return self._answers[request]


def _busy(session: ClientSession) -> Conflict:
    what = f"Client session {session.session_key!r}: other connections changed it at each attempt. Nothing was changed."
    return Conflict(what=what, hint="Try again.")


def _checked(name: str, value: object) -> str:
    """An id. Raises BadValue if it is not text, is empty or too long, or cannot be stored."""
    expected = f"a text of 1 to {MOST_BYTES:,} bytes"
    if not isinstance(value, str):
        raise BadValue(name=name, value=value, expected=expected)
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise BadValue(name=name, value=value, expected="a text without lone surrogates") from None
    if not 0 < size <= MOST_BYTES:
        raise BadValue(name=name, value=f"{value[:40]}…" if value else value, expected=expected)
    return value
