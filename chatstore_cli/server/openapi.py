"""The OpenAPI document: what the framework derives from the routes, and what holds for every route of a family.

The framework would describe invalid requests as its own 422. Here each operation has the error answers of its family, as
error_bodies.py makes them, and the keys that the gate asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from chatstore_cli.server.entrance.callers import OPEN_PATHS
from chatstore_cli.server.errors.error_bodies import Form, form_of

_ISSUES: dict[str, Any] = {
    "type": "array",
    "items": {"type": "object"},
    "description": "The invalid parts of the request.",
}
_TEXT: dict[str, Any] = {"type": "string"}
_SCHEMAS: Mapping[Form, tuple[str, dict[str, Any]]] = {
    Form.DETAIL: (
        "ErrorDetail",
        {
            "type": "object",
            "required": ["detail"],
            "properties": {"detail": {"anyOf": [_TEXT, _ISSUES]}},
            "example": {"detail": "session_id is required"},
        },
    ),
    Form.ERROR_TEXT: (
        "ErrorText",
        {
            "type": "object",
            "required": ["error"],
            "properties": {"error": _TEXT, "issues": _ISSUES, "path": _TEXT, "example": {"type": "object"}},
            "example": {"error": "Agent not found"},
        },
    ),
    Form.OWN: (
        "StoreError",
        {
            "type": "object",
            "required": ["error"],
            "properties": {
                "error": {
                    "type": "object",
                    "required": ["code", "kind", "message", "hint"],
                    "properties": {
                        "code": {"type": "integer"},
                        "kind": _TEXT,
                        "message": _TEXT,
                        "hint": {"anyOf": [_TEXT, {"type": "null"}]},
                        "issues": _ISSUES,
                    },
                }
            },
            "example": {
                "error": {"code": 404, "kind": "not_found", "message": "No session 'x' in workflow.", "hint": None}
            },
        },
    ),
}
_STATUSES = {
    "4XX": "The request is invalid, not allowed, too large or too frequent, or names something unknown.",
    "500": "The request failed. The server's log has the reason.",
    "503": "The database does not answer, or is disabled.",
}
_KEYS: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}


def openapi_of(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Returns the document of the application, which is made once."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(
                get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
            )
        return app.openapi_schema

    return document


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for name, schema in _SCHEMAS.values():
        schemas.setdefault(name, schema)
    components["securitySchemes"] = _KEYS
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _complete(path, operation)
    return document


def _complete(path: str, operation: dict[str, Any]) -> None:
    sentence = operation.get("description", "").partition("\n\n")[0].partition(". ")[0].replace("\n", " ")
    operation["summary"] = sentence.rstrip(".") or operation["summary"]
    answers = operation["responses"]
    answers.pop("422", None)
    name, _ = _SCHEMAS[form_of(path)]
    schema = {"$ref": f"#/components/schemas/{name}"}
    for status, description in _STATUSES.items():
        answers.setdefault(status, {"description": description, "content": {"application/json": {"schema": schema}}})
    if path not in OPEN_PATHS:
        operation["security"] = [{}, *({each: []} for each in _KEYS)]  # without keys on loopback, none is asked for
