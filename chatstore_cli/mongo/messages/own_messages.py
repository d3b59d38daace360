"""Which documents are messages of the messages layout."""

from __future__ import annotations

from chatstore_cli.domain.foreign import OwnKind
from chatstore_cli.mongo.own_documents import OwnDocuments, has_all

OWN_MESSAGES = OwnDocuments(OwnKind("a message", "messages", "layout messages"), has_all("session_id", "role", "text"))
