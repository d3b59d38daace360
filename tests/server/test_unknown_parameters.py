"""chatstore's own routes reject query parameters that they do not have. Those of other products may get more."""

from __future__ import annotations

import pytest

REJECTED = [
    ("/store/sessions?tennant=x&statsu=failed", "tennant", "Did you mean 'tenant'?"),
    ("/store/sessions?limit=0&statsu=failed", "statsu", "Did you mean 'status'?"),
    ("/store/sessions?Tenant=x", "Tenant", "Did you mean 'tenant'?"),
    ("/store/sessions?mood=x", "mood", "Parameters are layout, tenant, user, "),
    ("/store/session?id=x&session_id=x", "session_id", "Parameters are id, layout, first, last."),
    ("/store/events?last_event_id=1", "last_event_id", "Parameters are layout, tenant, "),
    ("/store/status?tenant=x", "tenant", "This route has no parameters."),
    (f"/store/status?{'x' * 1_000}=", "x" * 60, "This route has no parameters."),
]


@pytest.mark.parametrize(("path", "name", "hint"), REJECTED)
def test_an_unknown_parameter_is_named_with_the_most_similar_one(off, path, name, hint):
    answer = off.client.get(path)
    error = answer.json()["error"]
    assert (answer.status_code, error["kind"], error["message"]) == (
        400,
        "wrong_use",
        f"The parameter {name!r} is unknown.",
    )
    assert error["hint"].startswith(hint)


def test_every_route_of_the_family_rejects_them_and_no_other_route_does(off):
    paths = off.client.get("/openapi.json").json()["paths"]
    rejecting = set()
    for path, operations in paths.items():
        for method in operations:
            answer = off.client.request(method, path.replace("{", "").replace("}", "") + "?no_such_parameter=x")
            if "no_such_parameter" in answer.text:
                rejecting.add(path)
    assert rejecting == {path for path in paths if path.startswith("/store/")}
    assert rejecting


def test_a_key_in_the_query_is_not_an_unknown_parameter(off):
    assert off.client.get("/store/status?access_token=x").status_code == 200
