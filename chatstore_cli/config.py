"""Settings: what they are, and where they come from.

The settings are plain frozen dataclasses: an ordinary start must not pay the 0.1 s that pydantic's models cost.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class CacheSettings:
    """The local cache: journals on disk, newest messages in memory."""

    max_messages_per_session: int = 75
    disk_path: str = "data/cache/chat_sessions"


@dataclass(frozen=True)
class EmbeddedSettings:
    """The embedded MongoDB; None is the platform's own folder."""

    data_dir: str | None = None
    runtime_dir: str | None = None


@dataclass(frozen=True)
class MongoSettings:
    """The database and what is written there."""

    enabled: bool = True
    uri: str = "embedded"
    database: str = "chatstore"
    chat_collection: str = "chat_messages"
    session_collection: str = "chat_sessions"
    ttl_days: int = 30
    timeout_seconds: float = 10.0
    write_concern: str = "majority"
    journaled: bool = True
    cache: CacheSettings = field(default_factory=CacheSettings)
    embedded: EmbeddedSettings = field(default_factory=EmbeddedSettings)


@dataclass(frozen=True)
class WorkflowCollections:
    """Collections of the workflow layout; None takes `mongo.session_collection`."""

    sessions: str | None = None
    segments: str = "chat_session_segments"


@dataclass(frozen=True)
class MessagesCollections:
    """Collections of the messages layout; None takes `mongo.chat_collection`."""

    messages: str | None = None


@dataclass(frozen=True)
class LayoutSettings:
    """Collection names, by layout."""

    workflow: WorkflowCollections = field(default_factory=WorkflowCollections)
    messages: MessagesCollections = field(default_factory=MessagesCollections)


@dataclass(frozen=True)
class StateSettings:
    """Where ledgers, quarantine and logs go where a journal folder cannot be written; None is the platform's folder."""

    folder: str | None = None


@dataclass(frozen=True)
class VerifySettings:
    """Bounds of the checks that scan."""

    sample: int = 200
    seconds_per_check: float = 5.0


@dataclass(frozen=True)
class Settings:
    """Everything that can be set, validated."""

    mongo: MongoSettings = field(default_factory=MongoSettings)
    layouts: LayoutSettings = field(default_factory=LayoutSettings)
    state: StateSettings = field(default_factory=StateSettings)
    verify: VerifySettings = field(default_factory=VerifySettings)

    @property
    def messages_collection(self) -> str:
        """Where flat messages are."""
        return self.layouts.messages.messages or self.mongo.chat_collection

    @property
    def sessions_collection(self) -> str:
        """Where workflow sessions are."""
        return self.layouts.workflow.sessions or self.mongo.session_collection


def load_settings(config_file: str | None, *, uri: str | None, database: str | None) -> Settings:
    """The settings in force: flags over environment over `.env` over files over defaults. Raises BadConfig."""
    import dataclasses
    import os

    mongo = MongoSettings()
    return Settings(
        mongo=dataclasses.replace(
            mongo,
            uri=uri or os.environ.get("CHATSTORE_URI") or mongo.uri,
            database=database or os.environ.get("CHATSTORE_DATABASE") or mongo.database,
        )
    )
