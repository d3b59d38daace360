"""Reads and changes client sessions for people who support users. A refused change raises an error with the reason."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

from chatstore_cli.domain.errors import Conflict, NotFound, PrerequisiteRefused
from chatstore_cli.domain.session_registry import ACTIVE, COMPLETED, ClientSession

if TYPE_CHECKING:
    from chatstore_cli.core.session_registry.registry import SessionRegistry
    from chatstore_cli.domain.session_registry import (
        RegistryEntry,
        RegistryStore,
        Switch,
        WorkflowContext,
    )


HOOK = "the prerequisites hook"
"""The beginning of each reason that is not the hook's own answer."""


class Change(NamedTuple):
    """A client session after a command, the workflow that the command named, and whether anything changed."""

    entry: RegistryEntry
    workflow: WorkflowContext | None
    changed: bool


class RegistryAdministration:
    """Reads and changes client sessions through a SessionRegistry, as the connection `connection`."""

    def __init__(self, registry: SessionRegistry, store: RegistryStore, connection: str) -> None:
        self._registry, self._store, self._connection = registry, store, connection

    def entry(self, session: ClientSession) -> RegistryEntry:
        """A client session. Raises NotFound, and BadValue for a value that no client session has."""
        self._registry.attach(self._connection, *session)  # checks the values, and stores nothing
        found = self._store.find(session)
        if found is None:
            raise NotFound(
                kind_of_thing="client session",
                name=session.session_key,
                where=f" of user {session.user_id!r} and tenant {session.app_id!r}",
                hint=f"To list the client sessions of this user, run: chatstore workflows list {_owner(session)}",
            )
        return found

    def entries(self, tenant: str, user: str, session_key: str | None, limit: int) -> list[RegistryEntry]:
        """The most recently changed client sessions of a user, or only the one with this key. Raises NotFound for a key."""
        if session_key is not None:
            return [self.entry(ClientSession(tenant, user, session_key))]
        return self._registry.client_sessions(tenant, user, limit)

    def history(self, session: ClientSession, limit: int) -> list[Switch]:
        """The newest switches, the newest first. Raises NotFound."""
        self.entry(session)
        return self._store.switches(session, limit)

    def switch(self, session: ClientSession, session_id: str) -> Change:
        """Activate a workflow. Raises NotFound, and Conflict with the reason if it is refused."""
        workflow = self._workflow(session, session_id)
        try:
            activated = self._registry.switch_workflow(self._connection, session_id)
        except PrerequisiteRefused as error:
            if HOOK in error.message:
                error.hint = (
                    "The hook is the function that chatstore.registry.prerequisites names. Commands import it, so its "
                    "module must be on PYTHONPATH."
                )
            raise
        if activated is None:
            what = f"Workflow session {session_id!r} was not activated, because it is completed."
            raise Conflict(what=what, hint="Start another session of this workflow.")
        return self._changed(session, session_id, workflow.status != ACTIVE)

    def enter_general_mode(self, session: ClientSession) -> Change:
        """Pause all workflows and enter general mode. Raises NotFound."""
        entry = self.entry(session)
        self._registry.enter_general_mode(self._connection)
        return self._changed(session, None, not entry.general_mode)

    def complete(self, session: ClientSession, session_id: str) -> Change:
        """Complete a workflow, after which it cannot become active. Raises NotFound."""
        workflow = self._workflow(session, session_id)
        self._registry.complete_workflow(self._connection, session_id)
        return self._changed(session, session_id, workflow.status != COMPLETED)

    def _workflow(self, session: ClientSession, session_id: str) -> WorkflowContext:
        workflow = self.entry(session).workflow(session_id)
        if workflow is None:
            raise NotFound(
                kind_of_thing="session",
                name=session_id,
                where=f" in client session {session.session_key!r}",
                hint="The application adds a workflow when the user starts it. To list those of this client session, run: "
                f"chatstore workflows list {_owner(session)} --session-key {shlex.quote(session.session_key)}",
            )
        return workflow

    def _changed(self, session: ClientSession, session_id: str | None, changed: bool) -> Change:
        entry = self.entry(session)
        return Change(entry, None if session_id is None else entry.workflow(session_id), changed)


def _owner(session: ClientSession) -> str:
    """The options of a command that name the tenant and the user."""
    return f"--tenant {shlex.quote(session.app_id)} --user {shlex.quote(session.user_id)}"
