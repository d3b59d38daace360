"""The lists, `exists` and `meta` of the multi-agent platform, and its general chats: fields, orders, limits, bad input."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest
from bson import Decimal128, Int64, ObjectId

from chatstore_cli.core.workflow.client_chats import cache_seed
from tests.support.served_app import Served, served, settings_of

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NUMBERS = count()
ARTIFACT = {
    "ui_tool_id": "revenue", "event_id": "e-1", "display": "artifact", "workflow_name": "wf",
    "payload": {"title": "Revenue", "of": [1, 2.5, None, {"a.b": "$c"}], "nan": float("nan")},
    "updated_at": NOON,
}  # fmt: skip
SHOWN = ARTIFACT | {
    "payload": {"title": "Revenue", "of": [1, 2.5, None, {"a.b": "$c"}], "nan": None},
    "updated_at": "2026-03-02T12:00:00.000000+00:00",
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, mongod: Any, module_database: Any) -> Iterator[Served]:
    """One application for all tests here. Each test has tenants of its own."""
    with served(settings_of(tmp_path_factory.mktemp("app"), mongod.uri, module_database.name)) as server:
        yield server


@pytest.fixture(scope="module")
def openapi(app: Served) -> dict[str, Any]:
    return app.client.get("/openapi.json").json()


@pytest.fixture
def tenant() -> str:
    return f"tenant{next(NUMBERS)}"


@pytest.fixture
def get(app: Served, openapi: dict[str, Any]) -> Any:
    """The body of a route that answers 200. It has the form that OpenAPI describes, with the keys in this order."""

    def fetch(path: str, **params: Any) -> dict[str, Any]:
        answer = app.client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        route = next(each for each in openapi["paths"] if _matches(each, path) and "get" in openapi["paths"][each])
        schema = openapi["paths"][route]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.validate(answer.json(), {**schema, "components": openapi["components"]})
        return answer.json()

    return fetch


def _matches(route: str, path: str) -> bool:
    parts, given = route.split("/"), path.split("/")
    return len(parts) == len(given) and all(a == b or a.startswith("{") for a, b in zip(parts, given, strict=True))


def stored(chat: str, tenant: str, minutes: int = 0, **fields: Any) -> dict[str, Any]:
    """A document of `chat_sessions`."""
    at = NOON + timedelta(minutes=minutes)
    return {
        "chat_id": chat, "enterprise_id": tenant, "user_id": "ana", "workflow_name": "wf", "status": 0,
        "created_at": at, "updated_at": at, "messages": [],
    } | fields  # fmt: skip


# --- sessions of workflows ---


def test_the_newest_20_are_those_created_last_in_every_variant(get, module_database, tenant):
    rows = [stored(f"{tenant}-{n:02}", tenant, n) for n in range(25)]
    for row in rows[10:20]:  # later versions name the tenant app_id
        row["app_id"] = row.pop("enterprise_id")
        row["last_updated_at"] = row.pop("updated_at")
    rows[3]["updated_at"] += timedelta(days=1)  # the last change does not count
    rows[24]["workflow_name"] = "other"
    rows[23]["status"], rows[22]["user_id"] = 1, "bob"
    del rows[21]["workflow_name"]
    rows[21]["workflow_status"] = {"wf": 0}  # the oldest version
    module_database.chat_sessions.insert_many(rows)
    assert get(f"/api/chats/{tenant}/wf") == {"chat_ids": [f"{tenant}-{n:02}" for n in range(23, 3, -1)]}
    assert get(f"/api/chats/{tenant}/other") == {"chat_ids": [f"{tenant}-24"]}
    assert get(f"/api/chats/{tenant}/none") == get("/api/chats/nobody/wf") == {"chat_ids": []}


def test_a_session_exists_for_its_tenant_and_workflow(get, module_database, tenant):
    module_database.chat_sessions.insert_one(stored(tenant, tenant))
    assert get(f"/api/chats/exists/{tenant}/wf/{tenant}") == {"exists": True}
    for path in (f"{tenant}/other/{tenant}", f"other/wf/{tenant}", f"{tenant}/wf/other"):
        assert get(f"/api/chats/exists/{path}") == get(f"/api/chats/meta/{path}") == {"exists": False}


def test_meta_has_the_documented_fields_and_the_artifacts_as_stored(get, module_database, tenant):
    chat = f"chat_{tenant}"
    messages = [{"role": "user", "content": "x", "sequence": n} for n in (1, 2, 5)]
    fields = {"last_artifact": ARTIFACT, "messages": messages, "last_sequence": 5}
    module_database.chat_sessions.insert_one(stored(chat, tenant, **fields))
    meta = get(f"/api/chats/meta/{tenant}/wf/{chat}")
    expected = {
        "exists": True,
        "chat_id": chat,
        "workflow_name": "wf",
        "has_children": False,
        "cache_seed": cache_seed(tenant, chat),
        "status": 0,
        "last_sequence": 5,
        "last_artifact": SHOWN,
        "artifact_instance_id": None,
        "artifact_state": None,
        "app_id": tenant,
    }
    assert meta == expected
    assert list(meta) == list(expected)
    assert list(meta["last_artifact"]) == list(ARTIFACT)
    artifact = f"artifact_{tenant}"
    module_database.WorkflowSessions.insert_one(
        {
            "_id": chat,
            "app_id": tenant,
            "user_id": "ana",
            "workflow_name": "wf",
            "status": "IN_PROGRESS",
            "artifact_instance_id": artifact,
            "created_at": 1.77e9,
            "updated_at": 1.77e9,
        }
    )
    assert get(f"/api/chats/meta/{tenant}/wf/{chat}") == expected | {"artifact_instance_id": artifact}
    state = {"page": 2, "rows": [{"a": 1}], "price": Decimal128("1.50"), "id": ObjectId("65e1a0b2c3d4e5f601234567")}
    instance = {"_id": artifact, "app_id": tenant, "workflow_name": "wf", "artifact_type": "table", "state": state}
    module_database.ArtifactInstances.insert_one(instance)
    plain = state | {"price": "1.50", "id": "65e1a0b2c3d4e5f601234567"}
    shown = expected | {"artifact_instance_id": artifact, "artifact_state": plain}
    assert get(f"/api/chats/meta/{tenant}/wf/{chat}") == shown
    # An artifact of another tenant is not shown.
    module_database.ArtifactInstances.update_one({"_id": artifact}, {"$set": {"app_id": "another"}})
    assert get(f"/api/chats/meta/{tenant}/wf/{chat}")["artifact_state"] is None


@pytest.mark.parametrize(("status", "number"), [(0, 0), (1, 1), (-1, -1), (2, -1), ("completed", 1), (None, -1)])
def test_a_status_is_the_platforms_number(get, module_database, tenant, status, number):
    module_database.chat_sessions.insert_one(stored(tenant, tenant, status=status))
    assert get(f"/api/chats/meta/{tenant}/wf/{tenant}")["status"] == number


def test_running_sessions_are_those_of_the_user_the_last_used_first_and_at_most_100(get, module_database, tenant):
    rows = [stored(f"{tenant}-{n:03}", tenant, n, created_at=NOON - timedelta(minutes=n)) for n in range(105)]
    rows[104]["status"], rows[103]["user_id"], rows[102]["last_artifact"] = 1, "bob", ARTIFACT
    rows[101]["workflow_name"] = "other"
    module_database.chat_sessions.insert_many(rows)
    page = get(f"/api/sessions/list/{tenant}/ana")
    assert list(page) == ["sessions", "count"]
    assert page["count"] == len(page["sessions"]) == 100
    assert [each["chat_id"] for each in page["sessions"]] == [f"{tenant}-{n:03}" for n in range(102, 2, -1)]
    first = {
        "chat_id": f"{tenant}-102",
        "workflow_name": "wf",
        "created_at": "2026-03-02T10:18:00.000000+00:00",
        "last_updated_at": "2026-03-02T13:42:00.000000+00:00",
        "last_artifact": SHOWN,
    }
    assert page["sessions"][0] == first
    assert list(page["sessions"][0]) == list(first)
    assert page["sessions"][1]["last_artifact"] is None
    recent = get(f"/api/sessions/recent/{tenant}/ana")
    assert recent == {"found": True, **first}
    assert list(recent) == ["found", *first]


def test_without_a_running_session_nothing_is_found(get, module_database, tenant):
    module_database.chat_sessions.insert_one(stored(tenant, tenant, status=1))
    assert get(f"/api/sessions/list/{tenant}/ana") == {"sessions": [], "count": 0}
    none = {"found": False, "chat_id": None, "workflow_name": None}
    recent = get(f"/api/sessions/recent/{tenant}/ana")
    assert (recent, list(recent)) == (none, list(none))


# --- general chats ---


def general(app: Served, tenant: str, *texts: str, user: str = "ana") -> str:
    chat = app.services.general.create_general_chat_session(app_id=tenant, user_id=user)["chat_id"]
    for text in texts:
        app.services.general.append_general_message(general_chat_id=chat, app_id=tenant, role="user", content=text)
    return chat


def test_general_chats_are_listed_by_creation_with_the_documented_fields(app, get, module_database, tenant):
    chats = [general(app, tenant), general(app, tenant, "hello"), general(app, tenant)]
    general(app, tenant, user="bob")
    module_database.GeneralChatSessions.update_one({"_id": chats[1]}, {"$unset": {"status": 1}})
    page = get(f"/api/general_chats/list/{tenant}/ana")
    assert list(page) == ["sessions", "count"]
    assert (page["count"], [each["chat_id"] for each in page["sessions"]]) == (3, chats[::-1])
    row = page["sessions"][1]
    document = module_database.GeneralChatSessions.find_one({"_id": chats[1]})
    assert list(row) == ["chat_id", "label", "sequence", "status", "created_at", "last_updated_at", "last_sequence"]
    assert (row["label"], row["sequence"], row["status"], row["last_sequence"]) == ("General Chat #2", 2, -1, 1)
    assert datetime.fromisoformat(row["created_at"]) == document["created_at"]
    assert datetime.fromisoformat(row["last_updated_at"]) == document["last_updated_at"]
    assert get(f"/api/general_chats/list/{tenant}/nobody") == {"sessions": [], "count": 0}


@pytest.mark.parametrize(("limit", "expected"), [(1, 1), (0, 1), (-1, 1), (2, 2), (200, 3), (10**30, 3)])
def test_the_limit_of_general_chats_is_clamped(app, get, tenant, limit, expected):
    for _ in range(3):
        general(app, tenant)
    assert get(f"/api/general_chats/list/{tenant}/ana", limit=limit)["count"] == expected


def test_at_most_200_general_chats(get, module_database, tenant):
    rows = [
        {"_id": f"{tenant}-{n}", "chat_id": f"{tenant}-{n}", "app_id": tenant, "user_id": "ana", "messages": [],
         "general_sequence": n, "session_type": "general", "created_at": NOON + timedelta(seconds=n)}
        for n in range(201)
    ]  # fmt: skip
    module_database.GeneralChatSessions.insert_many(rows)
    assert get(f"/api/general_chats/list/{tenant}/ana", limit=1000)["count"] == 200
    assert get(f"/api/general_chats/list/{tenant}/ana")["count"] == 50


def test_a_transcript_has_whole_message_documents(app, get, module_database, tenant):
    chat = general(app, tenant, "one")
    odd = {"at": NOON, "size": Int64(7), "of": [ObjectId("65e1a0b2c3d4e5f601234567")], "nan": float("inf"), "raw": b"x"}
    more = {"role": "assistant", "content": "two", "timestamp": NOON, "sequence": 2, "metadata": odd, "own": 1}
    change = {"$push": {"messages": more}, "$set": {"last_sequence": 2}}
    module_database.GeneralChatSessions.update_one({"_id": chat}, change)
    found = get(f"/api/general_chats/transcript/{tenant}/{chat}")
    assert list(found) == [
        "chat_id", "label", "sequence", "status", "app_id", "user_id", "created_at", "last_updated_at",
        "last_sequence", "messages",
    ]  # fmt: skip
    assert (found["chat_id"], found["app_id"], found["user_id"]) == (chat, tenant, "ana")
    first, second = found["messages"]
    stored_first = module_database.GeneralChatSessions.find_one({"_id": chat})["messages"][0]
    assert list(first) == list(stored_first)
    assert datetime.fromisoformat(first["timestamp"]) == stored_first["timestamp"]
    assert {**first, "timestamp": 0} == {**stored_first, "timestamp": 0}
    at = "2026-03-02T12:00:00.000000+00:00"
    plain = {"at": at, "size": 7, "of": ["65e1a0b2c3d4e5f601234567"], "nan": None, "raw": "eA=="}
    assert second == more | {"timestamp": at, "metadata": plain}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, "12345"),
        ({"after_sequence": 2}, "345"),
        ({"after_sequence": 0}, "12345"),
        ({"after_sequence": 9}, ""),
        ({"after_sequence": -7}, "12345"),
        ({"after_sequence": 10**30}, ""),
        ({"after_sequence": -(10**30)}, "12345"),
        ({"limit": 2}, "45"),
        ({"limit": 2, "after_sequence": 1}, "23"),
        ({"limit": 0}, "12345"),
        ({"limit": -1}, "12345"),
        ({"limit": 10**30}, "12345"),
    ],
)
def test_which_messages_a_transcript_has(app, get, tenant, params, expected):
    chat = general(app, tenant, *"12345")
    found = get(f"/api/general_chats/transcript/{tenant}/{chat}", **params)
    assert "".join(each["content"] for each in found["messages"]) == expected


def test_a_transcript_has_200_messages_unless_more_are_asked_for(get, module_database, tenant):
    messages = [{"role": "user", "content": str(n), "sequence": n} for n in range(1, 2_051)]
    row = {"_id": tenant, "chat_id": tenant, "app_id": tenant, "user_id": "ana", "messages": messages}
    module_database.GeneralChatSessions.insert_one(row | {"session_type": "general", "last_sequence": 2_050})
    path = f"/api/general_chats/transcript/{tenant}/{tenant}"
    assert [len(get(path, **params)["messages"]) for params in ({}, {"limit": 5_000}, {"limit": 0})] == [
        200,
        2000,
        2050,
    ]


def test_a_missing_chat_and_one_of_another_tenant_are_the_same_404(app, tenant):
    chat = general(app, tenant, "secret")
    for path in (f"{tenant}/unknown", f"another/{chat}", f"{tenant}/{chat}x"):
        answer = app.client.get(f"/api/general_chats/transcript/{path}")
        assert (answer.status_code, answer.json()) == (404, {"detail": "General chat not found"})


# --- bad input ---

LISTS = (
    "/api/chats/{id}/wf", "/api/chats/t/{id}", "/api/chats/exists/{id}/wf/c", "/api/chats/exists/t/wf/{id}",
    "/api/chats/meta/{id}/wf/c", "/api/chats/meta/t/{id}/c", "/api/chats/meta/t/wf/{id}", "/api/sessions/list/{id}/ana",
    "/api/sessions/list/t/{id}", "/api/sessions/recent/{id}/ana", "/api/sessions/recent/t/{id}",
    "/api/general_chats/list/{id}/ana", "/api/general_chats/list/t/{id}", "/api/general_chats/transcript/{id}/c",
    "/api/general_chats/transcript/t/{id}",
)  # fmt: skip
EMPTY = (
    {"chat_ids": []}, {"exists": False}, {"sessions": [], "count": 0},
    {"found": False, "chat_id": None, "workflow_name": None}, {"detail": "General chat not found"},
)  # fmt: skip


@pytest.mark.parametrize("path", LISTS)
def test_an_odd_id_is_only_text_that_nothing_has(app, module_database, path):
    module_database.chat_sessions.update_one({"_id": 1}, {"$set": stored("c", "t")}, upsert=True)
    for odd in ('{"$gt": ""}', "$where", "a\0b", "a b", "\u202e", "x" * 10_000, "-", "[]", "ü" * 400):
        answer = app.client.get(path.format(id=quote(odd, safe="")))
        assert answer.json() in EMPTY or (answer.status_code == 400 and list(answer.json()) == ["detail"]), answer.text
        assert answer.status_code in (200, 400, 404)
    slash = app.client.get(path.format(id="a%2Fb"))
    assert slash.json() in (*EMPTY, {"detail": "Not Found"})


@pytest.mark.parametrize("query", ["limit=abc", "limit=", "limit=1.5", "limit=%00", "limit[$gt]=1&limit={}"])
def test_a_limit_that_is_not_a_number_is_422(app, tenant, query):
    chat = general(app, tenant)
    for path in (f"/api/general_chats/list/{tenant}/ana", f"/api/general_chats/transcript/{tenant}/{chat}"):
        answer = app.client.get(f"{path}?{query}")
        assert answer.status_code == 422
        [issue] = answer.json()["detail"]
        assert issue["loc"] == ["query", "limit"]
    answer = app.client.get(f"/api/general_chats/transcript/{tenant}/{chat}?after_sequence=x")
    assert answer.json()["detail"][0]["loc"] == ["query", "after_sequence"]


def test_the_last_one_of_several_values_counts(app, tenant):
    for _ in range(3):
        general(app, tenant)
    answer = app.client.get(f"/api/general_chats/list/{tenant}/ana?limit=abc&limit=1&limit=2&offset=-1&other=x")
    assert answer.json()["count"] == 2


def test_documents_of_any_type_break_no_list(get, module_database, tenant):
    odd = [
        stored(f"{tenant}-1", tenant, last_artifact="text", created_at="yesterday", messages="none"),
        stored(f"{tenant}-2", tenant, last_artifact={"payload": b"x", "updated_at": "x"}, created_at=None),
        stored(f"{tenant}-3", tenant, last_sequence="x", workflow_name=7, updated_at=[NOON]),
        stored(f"{tenant}-4", tenant, created_at=ObjectId(), last_artifact=[1]),
    ]
    module_database.chat_sessions.insert_many(odd)
    assert sorted(get(f"/api/chats/{tenant}/wf")["chat_ids"]) == [f"{tenant}-{n}" for n in (1, 2, 4)]
    assert get(f"/api/sessions/list/{tenant}/ana")["count"] == 4
    for number in range(1, 5):
        assert get(f"/api/chats/exists/{tenant}/wf/{tenant}-{number}") == {"exists": True}
        get(f"/api/chats/meta/{tenant}/wf/{tenant}-{number}")


@pytest.mark.parametrize("path", [*LISTS[:1], *LISTS[3:4], *LISTS[6:8], *LISTS[9:10], *LISTS[11:12], *LISTS[14:]])
def test_a_database_that_fails_is_503_in_the_familys_form(app, tenant, fail_point, module_database, path):
    module_database.chat_sessions.insert_one(stored(f"{tenant}-1", tenant))  # a collection that is absent is not read
    with fail_point(["aggregate", "find"], errorCode=50):
        answer = app.client.get(path.format(id="t"))
    expected = {"detail": "The database did not answer in time. Try again later."}
    assert (answer.status_code, answer.json()) == (503, expected)


def test_openapi_has_an_example_of_every_answer_and_body_that_fits_its_schema(openapi):
    seen = 0
    for path, methods in openapi["paths"].items():
        for operation in methods.values():
            if operation["tags"] != ["Multi-agent platform"]:
                continue
            contents = [operation["responses"]["200"]["content"]["application/json"]["schema"]]
            if "requestBody" in operation:
                contents.append(operation["requestBody"]["content"]["application/json"]["schema"])
            for schema in contents:
                models = [openapi["components"]["schemas"][name] for name in _names(schema)]
                examples = [(each, model) for model in models for each in model.get("examples", ())]
                assert examples, path
                for example, model in examples:
                    jsonschema.validate(example, {**model, "components": openapi["components"]})
                seen += 1
    assert seen >= 13


def _names(schema: dict[str, Any]) -> list[str]:
    options = schema.get("anyOf", [schema])
    return [each["$ref"].rpartition("/")[2] for each in options if "$ref" in each]
