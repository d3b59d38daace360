"""What distinguishes the layouts that store a session as one document with its messages inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.usage import KnownUsage
from chatstore_cli.mongo.own_documents import OwnDocuments
from chatstore_cli.mongo.session_documents.counter_places import CounterPlace

TENANT_FIELDS = ("enterprise_id", "app_id")
"""The fields in which variants keep the tenant; the first one with an id counts."""

SESSION_TYPE = "session_type"
"""Its value is `general` in a chat with the general agent, whatever layout its collection is of."""


@dataclass(frozen=True, slots=True)
class DocumentShape:
    """The shape of one layout's documents.

    `updated_fields` are the fields in which variants keep the time of the last change. The first one that can be read
    counts. Listing walks the index on the first one, and chatstore writes it. `title_fields` is the same for titles.
    `in_ledger_field` has the counters before the first report, once the counters come from the usage ledger, which raises
    them at the `counter_place`. `id_fields` are the fields that can have the id of a session, the fastest look-up first.
    `is_general`: the sessions are those of a general agent, so its messages are the conversation.
    """

    layout: str
    own_sessions: OwnDocuments
    own_segments: OwnDocuments
    sessions_of: Callable[[Settings], str]
    segments_of: Callable[[Settings], str]
    updated_fields: tuple[str, ...]
    title_fields: tuple[str, ...]
    counter_fields: tuple[str, ...]
    counters: Callable[[Mapping[str, Any], list[str]], KnownUsage]
    in_ledger_field: str
    counter_place: CounterPlace
    id_fields: tuple[str, ...] = ("chat_id", "_id")
    is_general: bool = False

    @property
    def updated_field(self) -> str:
        """The field by which sessions are listed, and which chatstore writes."""
        return self.updated_fields[0]

    def is_general_chat(self, document: Mapping[str, Any]) -> bool:
        """Whether a document is a chat with the general agent, so that this agent's messages are the conversation."""
        return self.is_general or document.get(SESSION_TYPE) == "general"

    @property
    def light_fields(self) -> tuple[str, ...]:
        """The fields that `to_light_session` reads."""
        return ("_id", "chat_id", *TENANT_FIELDS, "user_id", *self.updated_fields)

    @property
    def fact_fields(self) -> tuple[str, ...]:
        """The fields that `to_session` reads besides `messages`, which a `message_count` can replace."""
        return (
            "_id", "chat_id", *TENANT_FIELDS, "user_id", *self.title_fields, "workflow_name", "workflow_status", "status",
            "is_complete", SESSION_TYPE, "real_time_tracking.current_status", *self.counter_fields, "created_at",
            *self.updated_fields, "paused", "pause_reason", "failure_reason",
        )  # fmt: skip
