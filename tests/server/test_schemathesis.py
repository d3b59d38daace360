"""Requests that are generated from the OpenAPI document: none fails with a 5xx, and every answer is as the document says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.samples import store_sample
from tests.support.served_app import Served, served, settings_of

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
ENDLESS = "/store/events"
"""A stream without an end. test_events.py reads it."""
_QUICK, _LONG = 200, 2_000


@pytest.fixture(scope="module")
def target(tmp_path_factory, mongod, module_database) -> Iterator[Served]:
    """An application over sessions of every layout."""
    store_sample(module_database, "workflow", "messages", "threads", "general", "calls")
    folder = tmp_path_factory.mktemp("schemathesis")
    with served(settings_of(folder, mongod.uri, module_database.name, requests_per_minute=0)) as server:
        yield server


def modes_of(operation: Any) -> list[GenerationMode]:
    """Positive, and negative if a value can be invalid. Every text is a valid id in a path without a rule for it."""
    in_path = [each.definition["schema"] for each in operation.path_parameters]
    has_rules = any({"pattern", "format", "minLength", "maxLength", "enum"} & set(schema) for schema in in_path)
    if operation.query or operation.body or has_rules:
        return [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
    return [GenerationMode.POSITIVE]


def send_generated(target: Served, cases: int) -> int:
    """Send about that many requests, as many to each operation. Returns how many were sent."""
    document = target.client.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    operations = [found.ok() for found in schema.get_all_operations()]
    operations = [each for each in operations if each.path != ENDLESS]
    assert len(operations) > 40
    sent = 0
    failures: list[str] = []
    for operation in operations:
        for mode in modes_of(operation):

            @seed(17)
            @settings(
                max_examples=max(2, cases // len(operations) // 2),
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def send(case: schemathesis.Case) -> None:
                nonlocal sent
                asked = case.as_transport_kwargs(base_url=str(target.client.base_url))
                asked.pop("cookies", None)
                try:
                    answer = target.client.request(**asked)
                except httpx2.InvalidURL:  # the client cannot send it, such as a URL that is too long
                    return
                sent += 1
                case.validate_response(answer, checks=CHECKS)

            try:
                send()
            except Exception as error:  # noqa: BLE001 - every failing operation is reported
                failures.append(f"{operation.method} {operation.path}: {error!r}")
    assert failures == [], "\n".join(failures)
    return sent


def test_no_generated_request_fails_and_every_answer_is_as_described(target):
    assert send_generated(target, _QUICK) >= _QUICK // 2


@pytest.mark.soak
def test_no_generated_request_fails_in_a_long_run(target):
    assert send_generated(target, _LONG) >= _LONG // 2
