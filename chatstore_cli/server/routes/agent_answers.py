"""What the routes of saved agents and calls share: their errors, their times, and how they ask the database."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from fastapi import Path, Query
from fastapi.responses import Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.config import JsonDict
from typing_extensions import TypeAliasType

from chatstore_cli.core.agents.checks import checked_agent_id
from chatstore_cli.core.agents.secrets import masked_config
from chatstore_cli.domain.errors import AgentNotFound, DocumentRefused, Unreachable
from chatstore_cli.domain.times import as_utc
from chatstore_cli.server.errors.error_bodies import Refusal
from chatstore_cli.server.routes.page_text import PageText, json_response
from chatstore_cli.server.services import Services

T = TypeVar("T")

AGENT_ID = "65f000000000000000000001"
"""The agent of all examples."""
_DEFAULT_LIMIT = 50
_LARGEST_LIMIT = 200
_LARGEST_OFFSET = 2**31
_ID_PATTERN = "^[0-9a-fA-F]{24}$"


class Issue(BaseModel):
    """An invalid part of a request. `path` leads to it."""

    code: str
    path: list[str | int]
    message: str


class ErrorText(BaseModel):
    """An error. An invalid request has `issues`, an unknown path has `path`, and an invalid call has an `example`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"error": "Agent not found"}]})
    error: str
    issues: list[Issue] | None = None
    path: str | None = None
    example: dict[str, Any] | None = None


ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorText, "description": "The request is invalid, not allowed, or names something unknown."},
    "503": {"model": ErrorText, "description": "The database is disabled, or does not answer."},
}
"""The errors of every route of this platform."""
DISPATCH_ERROR: dict[int | str, dict[str, Any]] = {
    "502": {"model": ErrorText, "description": "The dispatch function failed. The call has ended."}
}


def _storable(config: dict[str, Any]) -> dict[str, Any]:
    """Reject numbers that JSON does not have: Python reads NaN, and reads 1e400 as infinite."""
    waiting: list[Any] = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("config has a number that cannot be stored: NaN, or beyond 64 bits")
        waiting += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return config


_KEYS: JsonDict = {"propertyNames": {"pattern": "^[^\\u0000]*$"}}
_LARGEST: JsonDict = {"minimum": -(2**63), "maximum": 2**63 - 1024}
_JSON: JsonDict = {"$ref": "#/components/schemas/StorableJson"}
StorableJson = TypeAliasType(
    "StorableJson",
    Annotated[
        Any,
        WithJsonSchema(
            {
                "description": "JSON that MongoDB can store, in at most 100 levels.",
                "anyOf": [
                    {"type": ["string", "boolean", "null"]},
                    {"type": "number", **_LARGEST},
                    {"type": "array", "items": _JSON},
                    {"type": "object", "additionalProperties": _JSON, **_KEYS},
                ],
            }
        ),
    ],
)
Config = Annotated[dict[str, StorableJson], AfterValidator(_storable), Field(json_schema_extra=_KEYS)]
"""A configuration: any JSON object that MongoDB can store."""
GivenAgentId = Annotated[str, AfterValidator(checked_agent_id), Field(json_schema_extra={"pattern": _ID_PATTERN})]
"""The id of an agent in a body."""
AgentId = Annotated[
    str, Path(description="24 hexadecimal digits.", examples=[AGENT_ID], json_schema_extra={"pattern": _ID_PATTERN})
]
Limit = Annotated[str | None, Query(description="A number, clamped to 1 to 200. Anything else is 50.", examples=["50"])]
Offset = Annotated[str | None, Query(description="A number from 0. Anything else is 0.", examples=["0"])]


def page_of(limit: str | None, offset: str | None) -> tuple[int, int]:
    """How many agents a page has, and how many are before it. What is not a number is left out, as the platform does."""
    count, skipped = _number(limit, _DEFAULT_LIMIT), _number(offset, 0)
    return max(1, min(count, _LARGEST_LIMIT)), max(0, min(skipped, _LARGEST_OFFSET))


def _number(text: str | None, default: int) -> int:
    try:
        return int(float(text or ""))
    except (ValueError, OverflowError):
        return default


async def in_database(services: Services, call: Callable[[], T]) -> T:
    """The result of a call that needs the database. Raises Refusal with the platform's texts."""
    if not services.settings.mongo.enabled:
        raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "Persistence is not configured")
    try:
        return await services.reading.run(call)
    except AgentNotFound as error:
        raise Refusal(HTTPStatus.NOT_FOUND, "Agent not found") from error
    except DocumentRefused as error:  # an agent of another writer, with which a version would exceed MongoDB's limits
        message = "MongoDB cannot store the agent with its versions: it is too large, or has too many levels."
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message) from error
    except Unreachable as error:
        raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "Failed to connect to MongoDB") from error


async def answered(services: Services, call: Callable[[], BaseModel], status: int = HTTPStatus.OK) -> Response:
    """The answer that `call` makes in a thread, because configurations can be long. Raises Refusal as `in_database`."""
    text = await in_database(services, lambda: call().model_dump_json())
    return Response(text, status, media_type="application/json")


async def listed(services: Services, key: str, rows: Callable[[], Iterable[BaseModel]]) -> Response:
    """A page of rows under `key`, made in a thread. Raises Refusal as `in_database`, and for a page of too many bytes."""

    def read() -> bytes:
        page = PageText()
        for row in rows():
            page.add_or_refuse(row.model_dump_json(), "Use limit={rows}, and offset for the following agents.")
        return page.body(key)

    return json_response(await in_database(services, read))


def shown_config(config: Any) -> dict[str, Any]:
    """A configuration as answers have it: secrets are masked."""
    return masked_config(config)


def javascript_time(moment: Any) -> str | None:
    """A time as JavaScript writes it: UTC with milliseconds and Z."""
    return None if moment is None else as_utc(moment).isoformat(timespec="milliseconds").replace("+00:00", "Z")
