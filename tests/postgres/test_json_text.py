"""JSON values through `jsonb`: equal, with the types of numbers and the order of keys."""

from __future__ import annotations

import json
from typing import Any

import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings

from chatstore_cli.core.threads.checks import checked_content
from chatstore_cli.postgres.json_text import from_json_text, to_json_text
from chatstore_cli.postgres.key_order import in_key_order, key_order
from tests.support.json_values import CONTENTS
from tests.support.postgres import Postgres


@pytest.fixture(scope="module")
def connection(postgres: Postgres) -> psycopg.Connection[Any]:
    """A connection to the server."""
    return postgres.connect()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(content=CONTENTS)
@example({"a": 1e16, "b": [-1.5e300, 123456789012345678.0, 10**16], "text": ":1e16, \\u0000"})
@example({"text": "1e+16,", "n": [1e-7, 5e-324, 1.7976931348623157e308, -0.0, 1e22]})
def test_a_content_is_read_back_equal(connection: psycopg.Connection[Any], content: dict[str, Any]) -> None:
    content, _ = checked_content(content)
    [text] = connection.execute("SELECT %s::jsonb::text", [to_json_text(content)]).fetchone() or ()
    order = orjson.loads(to_json_text(key_order(content)))
    assert json.dumps(in_key_order(from_json_text(text), order)) == json.dumps(content)


@pytest.mark.parametrize("changed", [{"a": 1}, {"b": 1, "c": {}}, {"a": 1, "b": {"x": 1, "y": 2, "z": 3}}, {}])
def test_a_content_that_another_program_changed_is_returned_as_it_is(changed: dict[str, Any]) -> None:
    assert in_key_order(changed, key_order({"b": {"y": 1, "x": 2}, "a": 1})) == changed
