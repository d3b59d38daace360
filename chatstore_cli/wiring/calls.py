"""Calls, for the collections in the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.core.call_sessions.calls import CallSessions
    from chatstore_cli.domain.calls import CallSessionStore
    from chatstore_cli.wiring.stores import Stores


def call_session_store(stores: Stores) -> CallSessionStore:
    """The store of calls. The first command connects."""
    from chatstore_cli.mongo.call_sessions.store import MongoCallSessionStore

    return MongoCallSessionStore(
        stores.connection, stores.settings, patient=stores.patient_connection, server_now=stores.server_now
    )


def call_sessions(stores: Stores) -> CallSessions:
    """The calls, with the rules of core/call_sessions/calls.py."""
    from chatstore_cli.core.call_sessions.calls import CallSessions

    return CallSessions(call_session_store(stores))
