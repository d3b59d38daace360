"""The reference of all routes: the OpenAPI document as a view, for people. Nothing of it comes from another host."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse

from chatstore_cli.server.page.shell import RequestedView
from chatstore_cli.server.requests import Reader

router = APIRouter(include_in_schema=False)

_PATH = "/page/reference"


class Parameter(NamedTuple):
    """A parameter of a path, a query or a header. `default` is JSON, or empty."""

    name: str
    place: str
    required: bool
    default: str
    description: str


class Operation(NamedTuple):
    """A route. `description` is what follows the summary. `body` and `answer` are examples as JSON, or empty. `statuses` are the answers with their meaning."""

    method: str
    path: str
    summary: str
    description: str
    parameters: list[Parameter]
    body: str
    answer: str
    statuses: list[tuple[str, str]]


@router.get("/docs")
async def docs() -> RedirectResponse:
    """The address of the reference on servers with FastAPI, for people who expect it there."""
    return RedirectResponse(_PATH, HTTPStatus.SEE_OTHER)


@router.get(_PATH)
async def reference(view: RequestedView, access: Reader) -> HTMLResponse:
    """Every route with its parameters and examples."""
    document = view.request.app.openapi()
    return await view.draw("reference.html", lambda: {"groups": _groups(document)})


def _groups(document: Mapping[str, Any]) -> dict[str, list[Operation]]:
    groups: dict[str, list[Operation]] = defaultdict(list)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            groups[operation["tags"][0]].append(_operation(document, method, path, operation))
    return groups


def _operation(document: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any]) -> Operation:
    answers: Mapping[str, Any] = operation["responses"]
    good: Mapping[str, Any] = next((answer for status, answer in answers.items() if status.startswith("2")), {})
    return Operation(
        method.upper(),
        path,
        operation["summary"],
        _unwrapped(operation.get("description", "")).removeprefix(operation["summary"]).lstrip(". \n"),
        [_parameter(each) for each in operation.get("parameters", ())],
        _example(document, operation.get("requestBody", {})),
        _example(document, good),
        [(status, answer["description"]) for status, answer in answers.items() if not status.startswith("2")],
    )


def _unwrapped(text: str) -> str:
    """The text with one line for each paragraph: the view keeps the breaks of lines."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _parameter(parameter: Mapping[str, Any]) -> Parameter:
    schema = parameter["schema"]
    default = json.dumps(schema["default"]) if "default" in schema else ""
    description = parameter.get("description", "")
    return Parameter(parameter["name"], parameter["in"], parameter.get("required", False), default, description)


def _example(document: Mapping[str, Any], described: Mapping[str, Any]) -> str:
    """The example of a body or an answer, which its content or its schema has."""
    for content in described.get("content", {}).values():
        for each in (content, *_schemas(document, content.get("schema", {}))):
            found = [each["example"]] if "example" in each else list(each.get("examples", ()))
            if found:
                return found[0] if isinstance(found[0], str) else json.dumps(found[0], indent=2, ensure_ascii=False)
    return ""


def _schemas(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A schema, and those that it refers to or chooses from."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    yield schema
    for each in schema.get("anyOf", ()):
        if "$ref" in each:
            yield from _schemas(document, each)
