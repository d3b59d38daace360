"""Saved agents and the routes of phone numbers as the platform stores them, with fixed ids and times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bson import Decimal128, Int64, ObjectId

if TYPE_CHECKING:
    from pymongo.database import Database

DESK, PLAIN, FOREIGN, DELETED = (f"65bb0000000000000000000{n}" for n in range(1, 5))
OLD, ACTIVE = "3f0b8e9a-6d54-4f2d-9a52-0a1f3b5c7d9e", "b6a1c2d3-e4f5-4a6b-8c7d-9e0f1a2b3c4d"
NUMBER = "+4930123456"
COLLECTION = "lk_agent_configs"
SECRET = "sk-live-0123456789abcdef"
_FIRST = datetime(2026, 2, 23, 9, 0, tzinfo=UTC)

CONFIG: dict[str, Any] = {
    "agent_name": "Front desk",
    "engine": {"kind": "pipeline", "llm": "openai/gpt-4o-mini", "turns": Int64(5), "rate": Decimal128("0.10")},
    "tools": ["get_weather", "*x"],
    "greeting": "=1+1 \x1b[2J\u202eevil",
    "since": _FIRST,
    "avatar": {"api_key": SECRET, "headers": {"a.b": "x", "$set": None, "__proto__": {"n": 1.0}}},
}


def _agent(agent_id: str, hours: int, config: dict[str, Any], **more: Any) -> dict[str, Any]:
    at = _FIRST + timedelta(hours=hours)
    rest = {"deletedAt": None, "createdAt": _FIRST, "updatedAt": at, "__v": 0}
    return {"_id": ObjectId(agent_id), "config": config, **rest, **more}


def store_agents(database: Database[dict[str, Any]]) -> None:
    """Store four agents: one with two versions and a phone number, a plain one, one of another tenant, a deleted one."""
    old = {**CONFIG, "engine": {"kind": "pipeline"}, "avatar": {"api_key": "sk-old"}}
    versions = [
        {"versionId": OLD, "config": old, "active": False, "createdAt": _FIRST},
        {"versionId": ACTIVE, "config": CONFIG, "active": True, "createdAt": _FIRST + timedelta(hours=3)},
    ]
    acme = {"orgId": "acme", "createdByUserId": "ana"}
    database[COLLECTION].insert_many(
        [
            _agent(DESK, 3, CONFIG, versions=versions, shared=["x"], **acme),
            _agent(PLAIN, 2, {"agent_name": "Sales | 2\x1b[31m", "agent_description": "Sells"}, **acme),
            _agent(FOREIGN, 1, {"agent_name": "Of globex"}, orgId="globex", createdByUserId="tomasz"),
            _agent(DELETED, 0, {"agent_name": "Gone"}, **acme | {"deletedAt": _FIRST + timedelta(days=1)}),
        ]
    )
    database["lk_telephony_bindings"].insert_one(
        {
            "_id": ObjectId("65cc00000000000000000001"),
            "orgId": "acme",
            "integrationId": ObjectId("65dd00000000000000000001"),
            "provider": "telnyx",
            "providerNumberId": "pn-1",
            "e164": NUMBER,
            "agentId": DESK,
            "enabled": True,
            "deletedAt": None,
            "createdAt": _FIRST,
            "updatedAt": _FIRST,
        }
    )
