"""The OpenAPI document describes every operation: a summary, an example of its body, a model of its answer, its errors."""

from __future__ import annotations

import re
from typing import Any

import pytest
from markupsafe import escape

from chatstore_cli.domain.api_keys import Right
from chatstore_cli.server.entrance.callers import OPEN_PATHS
from chatstore_cli.server.errors.error_bodies import Form, form_of
from chatstore_cli.server.page.shell import HEADERS
from tests.support.served_app import served, settings_of

ERRORS = {Form.DETAIL: "ErrorDetail", Form.ERROR_TEXT: "ErrorText", Form.OWN: "StoreError"}


@pytest.fixture(scope="module")
def document(tmp_path_factory) -> dict[str, Any]:
    with served(settings_of(tmp_path_factory.mktemp("openapi"))) as server:
        found: dict[str, Any] = server.client.get("/openapi.json").json()
        return found


def operations(document):
    return [
        (f"{method} {path}", path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def resolved(document, schema):
    """The schema that a reference names, also of one that may be null."""
    if "anyOf" in schema:
        [schema] = [each for each in schema["anyOf"] if each != {"type": "null"}]
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def has_example(document, content):
    schema = resolved(document, content.get("schema", {}))
    return bool({"example", "examples"} & (set(content) | set(schema)))


def test_the_reference_for_people_has_every_operation_and_loads_nothing_from_another_host(off):
    assert off.client.get("/docs", follow_redirects=False).headers["location"] == "/page/reference"
    assert off.client.get("/redoc").status_code == 404
    answer = off.client.get("/docs")
    assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
    loaded = re.findall(r"""(?:src|href)=["']([^"']*)""", answer.text)
    assert loaded
    assert [each for each in loaded if not each.startswith(("/", "#"))] == []
    assert "<script>" not in answer.text
    for method_and_path, _, operation in operations(off.client.get("/openapi.json").json()):
        method, path = method_and_path.split(" ")
        assert f"<code>{method.upper()} {path}</code> {escape(operation['summary'])}" in answer.text
    assert "Where is my parcel?" in answer.text  # an example of a body
    assert "Clamped to 1 to 500." in answer.text  # the meaning of a parameter


def test_the_reference_is_for_everybody_who_signed_in(off):
    key, as_browser = off.key(right=Right.READ)["x-api-key"], {"accept": "text/html"}
    refused = off.client.get("/docs", headers=as_browser)
    assert (refused.url.path, refused.url.query) == ("/page/sign-in", b"next=%2Fpage%2Freference")
    off.client.post("/page/sign-in", json={"key": key})
    assert off.client.get("/docs", headers=as_browser).url.path == "/page/reference"
    assert off.client.get("/openapi.json").status_code == 200


def test_every_operation_is_described(document):
    found = operations(document)
    assert len(found) > 45
    missing = []
    for name, path, operation in found:
        if len(operation["summary"]) < 8 or operation["summary"].endswith("."):
            missing.append(f"{name}: a summary")
        if "requestBody" in operation and not all(
            has_example(document, content) for content in operation["requestBody"]["content"].values()
        ):
            missing.append(f"{name}: an example of the body")
        answers = {status: answer for status, answer in operation["responses"].items() if status.startswith("2")}
        assert answers, name
        for status, answer in answers.items():
            if status == "204":
                continue
            for kind, content in answer.get("content", {"none": {"schema": {}}}).items():
                schema = content.get("schema", {})
                if kind == "application/json" and "$ref" not in schema:
                    missing.append(f"{name}: a model of the answer")
                elif kind == "none" or not has_example(document, content):
                    missing.append(f"{name}: an example of the answer")
        error = operation["responses"]["4XX"]["content"]["application/json"]["schema"]
        assert (name, error["$ref"].rpartition("/")[2]) == (name, ERRORS[form_of(path)])
        assert {"4XX", "503"} <= set(operation["responses"])
        assert "422" not in operation["responses"]
        assert bool(operation.get("security")) is (path not in OPEN_PATHS), name
    assert missing == []


def test_operations_have_different_ids_and_every_reference_leads_somewhere(document):
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(ids)) == len(ids)

    def references(value):
        if isinstance(value, dict):
            yield from ([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
            for each in value.values():
                yield from references(each)
        elif isinstance(value, list):
            for each in value:
                yield from references(each)

    for reference in set(references(document)):
        assert reference.rpartition("/")[2] in document["components"]["schemas"]
