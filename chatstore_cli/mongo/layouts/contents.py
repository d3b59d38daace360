"""What the collections of a database hold: their names, and how many of their documents are not chatstore's own."""

from __future__ import annotations

from collections.abc import Iterable

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.foreign import ForeignDocuments
from chatstore_cli.mongo.agent_sessions.documents import OWN_AGENT_MESSAGES, OWN_AGENT_SESSIONS
from chatstore_cli.mongo.audit.store import OWN_READINGS
from chatstore_cli.mongo.call_sessions.documents import OWN_CALL_SESSIONS
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.foreign_documents import collection_names, foreign_in, require_writable
from chatstore_cli.mongo.general import own_chats
from chatstore_cli.mongo.labels.documents import OWN_LABELS
from chatstore_cli.mongo.messages.own_messages import OWN_MESSAGES
from chatstore_cli.mongo.own_documents import OwnDocuments
from chatstore_cli.mongo.phone_numbers.documents import OWN_BINDINGS
from chatstore_cli.mongo.products.call_documents import OWN_CALLS
from chatstore_cli.mongo.search.words_collection import OWN_WORDS
from chatstore_cli.mongo.session_registry.documents import OWN_ENTRIES
from chatstore_cli.mongo.threads.own_threads import OWN_THREAD_MESSAGES, OWN_THREADS
from chatstore_cli.mongo.usage.rows import OWN_DAILY_SUMS, OWN_EXPORTS, OWN_ROWS
from chatstore_cli.mongo.workflow.own_sessions import OWN_SEGMENTS, OWN_SESSIONS


def own_documents_of(settings: Settings) -> dict[str, OwnDocuments]:
    """The own documents of each collection that the settings name. The collections of sessions come first."""
    workflow, threads, general = settings.layouts.workflow, settings.layouts.threads, settings.layouts.general
    agents = settings.chatstore.agents
    of_agents = {
        agents.sessions: OWN_AGENT_SESSIONS,
        agents.messages: OWN_AGENT_MESSAGES,
        agents.transcripts: OWN_CALLS,
        agents.bindings: OWN_BINDINGS,
        agents.call_sessions: OWN_CALL_SESSIONS,
    }
    of_general = {
        general.sessions: own_chats.OWN_CHATS,
        general.segments: own_chats.OWN_SEGMENTS,
        general.counters: own_chats.OWN_COUNTERS,
    }
    names: dict[str, OwnDocuments] = {
        settings.sessions_collection: OWN_SESSIONS,
        settings.messages_collection: OWN_MESSAGES,
        threads.threads: OWN_THREADS,
        threads.messages: OWN_THREAD_MESSAGES,
        **{name: own for name, own in of_general.items() if name is not None},
        workflow.segments: OWN_SEGMENTS,
        workflow.usage: OWN_ROWS,
        workflow.usage_rollups: OWN_DAILY_SUMS,
        workflow.usage_exports: OWN_EXPORTS,
        general.registry: OWN_ENTRIES,
        settings.chatstore.labels.collection: OWN_LABELS,
        settings.chatstore.server.audit: OWN_READINGS,
        settings.chatstore.search.words: OWN_WORDS,
    }
    # A setting may name a collection that has the default name of one of these.
    return {**names, **{name: own for name, own in of_agents.items() if name is not None and name not in names}}


class MongoCollectionContents:
    """The CollectionContents of one database."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection = connection
        self._own = own_documents_of(settings)

    def names(self) -> list[str]:
        return collection_names(self._connection)

    def own_names(self) -> list[str]:
        return list(self._own)

    def foreign_in(self, collection: str) -> ForeignDocuments | None:
        own = self._own.get(collection)
        return None if own is None else foreign_in(self._connection, collection, own)

    def require_writable(self, collections: Iterable[str]) -> None:
        for collection in dict.fromkeys(collections):
            if collection in self._own:
                require_writable(self._connection, collection, self._own[collection])
