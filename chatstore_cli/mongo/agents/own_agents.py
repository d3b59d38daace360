"""Which documents are saved agents, in every variant, and which are archived versions of agents (docs/layouts.md).

`agents` and `Agent` are names that other products use, so the condition is strict: the types of the fields count too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from bson import DBRef, ObjectId
from bson.datetime_ms import DatetimeMS

from chatstore_cli.domain.foreign import OwnKind
from chatstore_cli.mongo.own_documents import Has, HasType, OwnDocuments, all_of, any_of, has_all

_KIND = OwnKind("an agent", "agents", "this platform")
_IS_ADDRESSABLE = HasType("_id", "objectId", (ObjectId,))
_HAS_CONFIG = HasType("config", "object", (Mapping, DBRef))
_CHANGED_AT = HasType("updatedAt", "date", (datetime, DatetimeMS))

_OF_PLATFORM = all_of(_IS_ADDRESSABLE, _HAS_CONFIG, Has("deletedAt"), _CHANGED_AT)
_OF_LYZR_AGENT = all_of(_IS_ADDRESSABLE, HasType("agent_id", "string", (str,)))

PLATFORM_AGENTS = OwnDocuments(_KIND, _OF_PLATFORM)
"""Agents of the voice and chat platform: all that can be changed, deleted and purged."""
KEYED_AGENTS = OwnDocuments(_KIND, _OF_LYZR_AGENT)
"""Agents of lyzr-agent, keyed by `agent_id`."""
OWN_AGENTS = OwnDocuments(_KIND, any_of(_OF_PLATFORM, _OF_LYZR_AGENT))
OWN_VERSIONS = OwnDocuments(
    OwnKind("a version of an agent", "versions of agents", "this platform"), has_all("agentId", "versionId", "config")
)
