"""The calls of a voice application, and the routes of its phone numbers."""

from __future__ import annotations

from chatstore_cli.core.call_sessions import calls
from chatstore_cli.core.phone_numbers import routing
from chatstore_cli.domain.calls import CallPage, CallSession
from chatstore_cli.domain.phone_numbers import BindingPage, PhoneBinding, RoutedCall, RouteReason
from chatstore_cli.library.connected import Connected, given_settings
from chatstore_cli.wiring.agents import agent_store
from chatstore_cli.wiring.calls import call_session_store
from chatstore_cli.wiring.phone_numbers import binding_store

__all__ = [
    "BindingPage",
    "CallPage",
    "CallSession",
    "CallSessions",
    "PhoneBinding",
    "PhoneNumbers",
    "RouteReason",
    "RoutedCall",
]


class CallSessions(Connected, calls.CallSessions):
    """Starts, ends and finds calls in MongoDB. It connects on first use, and is thread-safe."""

    def __init__(
        self,
        uri: str | None = None,
        database: str | None = None,
        *,
        collection: str | None = None,
        timeout_seconds: float | None = None,
    ) -> None:
        """Without a `uri`, whatever is None comes from chatstore's configuration, as in `from_config`.

        With a `uri`, no configuration is read, and what is None has its default: the database `chatstore`, the collection
        `call_sessions`, and 5 seconds to find a server. Raises BadConfig and BadValue.
        """
        self._connect(given_settings(uri, database, timeout_seconds, call_sessions=collection))

    def _begin(self) -> None:
        calls.CallSessions.__init__(self, self._on_first_use(call_session_store))


class PhoneNumbers(Connected, routing.PhoneNumbers):
    """Binds phone numbers to saved agents in MongoDB. It connects on first use, and is thread-safe."""

    def __init__(
        self,
        uri: str | None = None,
        database: str | None = None,
        *,
        collection: str | None = None,
        agents: str | None = None,
        default_agent: str | None = None,
        timeout_seconds: float | None = None,
    ) -> None:
        """Values that are None are as those of CallSessions.

        `collection` is that of the bindings (`lk_telephony_bindings`), and `agents` that of the agents. `default_agent` is
        the id of the agent that answers a number without a usable route. Raises BadConfig and BadValue.
        """
        self._connect(
            given_settings(
                uri, database, timeout_seconds, bindings=collection, collection=agents, default_agent=default_agent
            )
        )

    def _begin(self) -> None:
        default_agent = self.settings.chatstore.agents.default_agent
        bindings, agents = self._on_first_use(binding_store), self._on_first_use(agent_store)
        routing.PhoneNumbers.__init__(self, bindings, agents, default_agent=default_agent)
