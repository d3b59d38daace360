"""The settings: their names, types and defaults. loading.py reads their values from all sources.

They are plain frozen dataclasses, because importing pydantic costs 0.1 s at every start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache
from typing import Any, get_type_hints

from chatstore_cli.domain.checked_application import ApplicationSettings

TOMBSTONES = "chatstore_tombstones"
"""The collection of deleted sessions, whose name is not a setting."""


@dataclass(frozen=True)
class CacheSettings:
    """The local cache: journals on disk, and the newest messages in memory."""

    max_messages_per_session: int = 75
    disk_path: str = "data/cache/chat_sessions"
    fsync: str = "never"
    mapping: str | None = None
    """How the lines of another application's journals are read, as domain/field_mapping.py writes it."""


@dataclass(frozen=True)
class WorkerSettings:
    """The worker that stores recorded messages in MongoDB."""

    batch_size: int = 100
    interval_seconds: float = 1.0


@dataclass(frozen=True)
class EmbeddedSettings:
    """The folders of the embedded MongoDB; None is the platform's folder."""

    data_dir: str | None = None
    runtime_dir: str | None = None


@dataclass(frozen=True)
class MongoSettings:
    """The database, and how it is written."""

    enabled: bool = True
    uri: str = field(default="embedded", repr=False)  # it may have a password
    database: str = "chatstore"
    chat_collection: str = "chat_messages"
    session_collection: str = "chat_sessions"
    ttl_days: int = 30
    timeout_seconds: float = 10.0
    write_concern: str = "majority"
    journaled: bool = True
    cache: CacheSettings = field(default_factory=CacheSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    embedded: EmbeddedSettings = field(default_factory=EmbeddedSettings)


@dataclass(frozen=True)
class WorkflowCollections:
    """Collections of the workflow layout. `sessions` None is `mongo.session_collection`.

    If a document has clearly more than `segment_messages`, that many of its oldest messages are moved into a segment.
    With None they are moved only when the document would exceed 12 MiB.
    """

    sessions: str | None = None
    segments: str = "chat_session_segments"
    segment_messages: int | None = None
    usage: str = "usage_events"
    usage_rollups: str = "usage_daily"
    usage_exports: str = "usage_exports"


@dataclass(frozen=True)
class MessagesCollections:
    """Collections of the messages layout. `messages` None is `mongo.chat_collection`."""

    messages: str | None = None


@dataclass(frozen=True)
class ThreadCollections:
    """Collections of the threads layout."""

    threads: str = "chat_threads"
    messages: str = "chat_thread_messages"


@dataclass(frozen=True)
class GeneralCollections:
    """Collections of general chats, of the session registry, and of the platform. `sessions` None turns the layout off.

    `sessions` becomes None if it has its default name and another setting names the same collection.
    """

    sessions: str | None = "GeneralChatSessions"
    counters: str = "GeneralChatCounters"
    segments: str = "general_chat_segments"
    registry: str = "chat_session_registry"
    """The session registry: the workflows of each client session, and which one of them is active."""
    stats: str = "WorkflowStats"
    artifacts: str = "ArtifactInstances"
    workflow_sessions: str = "WorkflowSessions"


@dataclass(frozen=True)
class LayoutSettings:
    """Collection names by layout."""

    workflow: WorkflowCollections = field(default_factory=WorkflowCollections)
    messages: MessagesCollections = field(default_factory=MessagesCollections)
    threads: ThreadCollections = field(default_factory=ThreadCollections)
    general: GeneralCollections = field(default_factory=GeneralCollections)


@dataclass(frozen=True)
class StateSettings:
    """The folder of ledgers and quarantine if a journal folder is read-only; None is the platform's folder."""

    folder: str | None = None


@dataclass(frozen=True)
class VerifySettings:
    """Limits of the checks that read stored documents, and the paths of the checked application."""

    sample: int = 200
    seconds_per_check: float = 5.0
    application: ApplicationSettings = field(default_factory=ApplicationSettings)


@dataclass(frozen=True)
class ThreadSettings:
    """Where threads are stored. config/values.py rejects backends that commands cannot use.

    `uri` is that of the PostgreSQL server. With backend postgresql it has a value: without one of its own, loading.py takes
    the variables DB_*.
    """

    backend: str = "mongodb"
    uri: str | None = field(default=None, repr=False)  # it may have a password


@dataclass(frozen=True)
class RegistrySettings:
    """The session registry. An entry is deleted `keep_days` after its last change.

    `prerequisites` is a function, as `module:function`, that may refuse to start a workflow or to switch to it.
    """

    keep_days: int = 30
    prerequisites: str | None = None


@dataclass(frozen=True)
class AgentSettings:
    """Collections of saved agents, and of what belongs to them.

    `collection` None: mongo/agents/collection.py chooses by what the database has. `sessions` and `messages` are those of a
    Python agent. Other products use such names, so None leaves them out.
    """

    collection: str | None = None
    versions: str = "agent_versions"
    """The older versions of agents, which no longer fit into the documents of the agents."""
    transcripts: str = "lk_transcripts"
    bindings: str = "lk_telephony_bindings"
    call_sessions: str = "call_sessions"
    states: str = "states"
    sessions: str | None = None
    messages: str | None = None
    default_agent: str | None = None
    """The id of the agent that answers a number without a route."""


@dataclass(frozen=True)
class ServerSettings:
    """The HTTP and WebSocket server. Lists are texts with commas. Times are in seconds.

    `allowed_hosts` are the names under which the server is reached, beside its own address: requests with another Host
    header are rejected. `responder` is `echo`, `openai` or a function, as `module:function`. `dispatch` is a function that
    gives callers of saved agents their tokens.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    allowed_hosts: str = "localhost, 127.0.0.1, [::1]"
    cors_origins: str = "http://localhost:3000, http://localhost:3001, http://localhost:3100, http://localhost:3300, http://localhost:5173"
    responder: str = "echo"
    responder_url: str | None = None
    responder_model: str | None = None
    responder_key: str | None = None
    responder_seconds: float = 120.0
    dispatch: str | None = None
    dispatch_seconds: float = 15.0
    read_threads: int = 16
    read_seconds: float = 10.0
    body_bytes: int = 1_048_576
    requests_per_minute: int = 600
    sockets: int = 1_000
    chat_start_seconds: int = 15
    audit: str = "chatstore_audit"


@dataclass(frozen=True)
class UsageSettings:
    """Usage reports. `currency` is that of the stored costs, which have no currency of their own.

    `prices_file` has prices of models, which have precedence over those of the package genai-prices.
    """

    currency: str = "USD"
    prices_file: str | None = None


@dataclass(frozen=True)
class LabelSettings:
    """The collection of titles and tags that people give to sessions of all layouts."""

    collection: str = "chatstore_labels"


@dataclass(frozen=True)
class SearchSettings:
    """The collection with the words of sessions, which `search index` creates."""

    words: str = "chatstore_search_words"


@dataclass(frozen=True)
class ChatstoreSettings:
    """The block `chatstore`, for all further settings: an application's file may have a block `threads` of its own."""

    threads: ThreadSettings = field(default_factory=ThreadSettings)
    registry: RegistrySettings = field(default_factory=RegistrySettings)
    agents: AgentSettings = field(default_factory=AgentSettings)
    server: ServerSettings = field(default_factory=ServerSettings)
    usage: UsageSettings = field(default_factory=UsageSettings)
    labels: LabelSettings = field(default_factory=LabelSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    timezone: str = "UTC"
    """The time zone of the times in tables, and of the days and times that options name."""


@dataclass(frozen=True)
class Settings:
    """All settings, validated."""

    mongo: MongoSettings = field(default_factory=MongoSettings)
    layouts: LayoutSettings = field(default_factory=LayoutSettings)
    state: StateSettings = field(default_factory=StateSettings)
    verify: VerifySettings = field(default_factory=VerifySettings)
    chatstore: ChatstoreSettings = field(default_factory=ChatstoreSettings)

    @property
    def threads_on_postgres(self) -> bool:
        """Whether threads are stored in PostgreSQL, and everything else in MongoDB."""
        return self.chatstore.threads.backend == "postgresql"

    @property
    def messages_collection(self) -> str:
        """The collection of the messages layout."""
        return self.layouts.messages.messages or self.mongo.chat_collection

    @property
    def sessions_collection(self) -> str:
        """The collection of the workflow layout."""
        return self.layouts.workflow.sessions or self.mongo.session_collection

    @property
    def segments_of_sessions(self) -> dict[str, str]:
        """The collections whose sessions are one document each, with the collections of their segments."""
        general = self.layouts.general
        of_general = {} if general.sessions is None else {general.sessions: general.segments}
        return {self.sessions_collection: self.layouts.workflow.segments, **of_general}

    @property
    def collections(self) -> tuple[str, ...]:
        """All collections that chatstore uses, by their configured names."""
        workflow, threads, general = self.layouts.workflow, self.layouts.threads, self.layouts.general
        agents = self.chatstore.agents
        of_agents = (agents.collection, agents.versions, agents.transcripts, agents.bindings, agents.call_sessions)
        of_python_agents = (agents.states, agents.sessions, agents.messages)
        of_general = (*([] if general.sessions is None else [general.sessions]), general.counters, general.segments)
        return (
            self.sessions_collection, self.messages_collection, workflow.segments, workflow.usage,
            workflow.usage_rollups, workflow.usage_exports, threads.threads, threads.messages, *of_general, general.registry, general.stats,
            general.artifacts, general.workflow_sessions, TOMBSTONES,
            self.chatstore.labels.collection, self.chatstore.search.words, self.chatstore.server.audit,
            *(name for name in (*of_agents, *of_python_agents) if name is not None),
        )  # fmt: skip


def with_shorter_timeout(settings: Settings, seconds: float) -> Settings:
    """The same settings, in which finding a server takes at most that many seconds."""
    mongo = replace(settings.mongo, timeout_seconds=min(settings.mongo.timeout_seconds, seconds))
    return replace(settings, mongo=mongo)


@cache
def setting_types(section: type = Settings, prefix: str = "") -> Mapping[str, Any]:
    """The type of every setting by its dotted key, in order."""
    hints = get_type_hints(section)
    types: dict[str, Any] = {}
    for item in fields(section):
        hint = hints[item.name]
        if is_dataclass(hint):
            types.update(setting_types(hint, f"{prefix}{item.name}."))  # type: ignore[arg-type]  # a class, not an instance
        else:
            types[prefix + item.name] = hint
    return types


def value_of(settings: Settings, key: str) -> Any:
    """The value of one setting, by its dotted key."""
    value: Any = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value
