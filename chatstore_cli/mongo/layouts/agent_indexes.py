"""The indexes of saved agents and of what belongs to them: versions, phone numbers, calls and states."""

from __future__ import annotations

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.errors import Conflict, MissingRight
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.mongo.agent_states.documents import OWN_STATES, state_index_spec
from chatstore_cli.mongo.agents.collection import chosen_collection
from chatstore_cli.mongo.agents.index_specs import agent_index_specs, version_index_spec
from chatstore_cli.mongo.agents.own_agents import OWN_AGENTS, OWN_VERSIONS
from chatstore_cli.mongo.call_sessions.documents import OWN_CALL_SESSIONS, call_session_index_specs
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.foreign_documents import collection_names, foreign_in
from chatstore_cli.mongo.phone_numbers.documents import OWN_BINDINGS, binding_index_spec


def indexes_of_agents(connection: Connection, settings: Settings, *, is_named: bool) -> list[IndexSpec]:
    """The indexes of the collections that have mainly chatstore's own documents.

    `agents`, `states` and `call_sessions` are names that other products use. If somebody asks for the indexes of agents by
    name, those of empty and missing collections too; then it raises Conflict if the collection of agents cannot be chosen.
    """
    names = settings.chatstore.agents
    own = {
        names.versions: (OWN_VERSIONS, (version_index_spec(names.versions),)),
        names.bindings: (OWN_BINDINGS, (binding_index_spec(names.bindings),)),
        names.call_sessions: (OWN_CALL_SESSIONS, call_session_index_specs(names.call_sessions)),
        names.states: (OWN_STATES, (state_index_spec(names.states),)),
    }
    try:
        agents = chosen_collection(connection, names)
        own = {agents: (OWN_AGENTS, agent_index_specs(agents)), **own}
    except (Conflict, MissingRight):
        if is_named:
            raise
    existing = set(collection_names(connection))

    def needs_them(name: str) -> bool:
        if name not in existing:
            return is_named
        try:
            found = foreign_in(connection, name, own[name][0])
        except MissingRight:  # most likely another product's: the user has rights on the collections of chats
            if is_named:
                raise
            return False
        return not found.is_mainly_foreign and (is_named or found.looked_at > 0)

    return [spec for name, (_, specs) in own.items() if needs_them(name) for spec in specs]
