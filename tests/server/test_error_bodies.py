"""One table: the body of every kind of error in each family of paths."""

from __future__ import annotations

import pytest
from fastapi import APIRouter

from chatstore_cli.domain.errors import ChatstoreError, NotFound, Overdue, Unreachable
from chatstore_cli.server.errors.error_bodies import Form, answer_to, form_of, refusal_of
from tests.support.served_app import served, settings_of

PLACES = {
    "api": "/api",
    "chat": "/chat",
    "ws": "/ws",
    "agents": "/agents/a",
    "session": "/session",
    "config": "/config",
}
PLACES |= {"telephony": "/telephony", "v1": "/v1", "store": "/store", "none": ""}
FORMS = {Form.DETAIL: {"api", "chat", "ws"}, Form.OWN: {"store", "none"}}

URI = "mongodb://ana:geheim@db.internal:27017"


class _Body:
    """What a family's error body has."""

    def __init__(self, place: str) -> None:
        self.form = next((form for form, places in FORMS.items() if place in places), Form.ERROR_TEXT)

    def text(self, body):
        """The text of an error body, which has exactly the keys of its form."""
        if self.form is Form.DETAIL:
            assert set(body) == {"detail"}
            return body["detail"]
        if self.form is Form.ERROR_TEXT:
            assert set(body) <= {"error", "issues", "path"}
            return body["error"]
        assert set(body) == {"error"}
        assert set(body["error"]) <= {"code", "kind", "message", "hint", "issues"}
        return body["error"]["message"]


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """An application with one more path in each family: it fails as its query asks."""
    errors = {
        "bug": lambda: RuntimeError(f"{URI} is broken"),
        "away": lambda: Unreachable(what=f"No answer from {URI}"),
        "slow": lambda: Overdue(what="db.internal took too long"),
        "failure": lambda: ChatstoreError(what="/srv/state/file is damaged"),
        "missing": lambda: NotFound(kind_of_thing="thing", name="x", where=""),
    }
    router = APIRouter()

    async def fail(kind: str, number: int = 0):
        raise errors[kind]()

    for place in PLACES.values():
        router.add_api_route(f"{place}/fail", fail, methods=["GET"])
    folder = tmp_path_factory.mktemp("failing")
    with served(settings_of(folder)) as server:
        server.framework().include_router(router)
        yield server


@pytest.mark.parametrize("place", PLACES)
def test_every_error_of_a_family_has_its_form(failing, place, caplog):
    body, base, get = _Body(place), PLACES[place], failing.client.get
    shown = {}
    for kind, status in (("bug", 500), ("away", 503), ("slow", 503), ("failure", 500), ("missing", 404)):
        answer = get(f"{base}/fail?kind={kind}")
        assert (kind, answer.status_code) == (kind, status)
        assert answer.headers["content-type"] == "application/json"
        shown[kind] = body.text(answer.json())
    assert shown["bug"] == shown["failure"] == "The request failed. The server's log has the reason."
    assert shown["away"] == "The database does not answer. Try again later."
    assert shown["slow"] == "The database did not answer in time. Try again later."
    assert shown["missing"] == "No thing 'x'."
    assert not {word for word in ("geheim", "db.internal", "/srv") if word in " ".join(shown.values())}
    assert "is broken" in caplog.text

    invalid = get(f"{base}/fail?kind=missing&number=abc")
    assert invalid.status_code == (400 if body.form is Form.ERROR_TEXT else 422)
    assert "number" in str(body.text(invalid.json()))
    unknown = get(f"{base}/fail/unknown")
    assert unknown.status_code == 404
    assert body.text(unknown.json()) == ("Not found" if body.form is Form.ERROR_TEXT else "Not Found")
    assert (unknown.json().get("path") == f"{base}/fail/unknown") is (body.form is Form.ERROR_TEXT)
    method = failing.client.request("DELETE", f"{base}/fail")
    assert method.status_code == 405
    assert method.headers["allow"] == "GET"
    assert body.text(method.json()) == "Method Not Allowed"
    kind = failing.client.post(f"{base}/fail", content=b"x", headers={"content-type": "text/plain"})
    assert kind.status_code == 415
    assert body.text(kind.json()).startswith("The body must be JSON")
    large = failing.client.post(
        f"{base}/fail", content=b"", headers={"content-type": "application/json", "content-length": "99999999"}
    )
    assert large.status_code == 413
    body.text(large.json())
    host = get(f"{base}/fail?kind=bug", headers={"host": "evil"})
    assert host.status_code == 400
    body.text(host.json())


@pytest.mark.parametrize("place", PLACES)
def test_a_refused_key_and_too_many_requests_have_the_form_of_the_family(tmp_path, place):
    body, path = _Body(place), f"{PLACES[place]}/anything"
    with served(settings_of(tmp_path, requests_per_minute=1)) as server:
        server.key()
        first, second = server.client.get(path), server.client.get(path)
        assert (first.status_code, second.status_code) == (401, 429)
        body.text(first.json())
        assert body.text(second.json()) == "Too many requests, please try again later."
        assert "retry-after" in second.headers


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/", Form.OWN),
        ("/apis", Form.OWN),
        ("//api/chat", Form.DETAIL),
        ("/api", Form.DETAIL),
        ("/agentsx", Form.OWN),
        ("/v1", Form.ERROR_TEXT),
        ("/metrics", Form.OWN),
    ],
)
def test_the_first_part_of_a_path_decides(path, form):
    assert form_of(path) is form


def test_our_own_form_has_the_kind_and_the_hint():
    error = NotFound(kind_of_thing="session", name="x", where="", hint="Look again.")
    answer = answer_to("/store/sessions/x", refusal_of(error))
    expected = {"code": 404, "kind": "not_found", "message": "No session 'x'.", "hint": "Look again."}
    assert (answer.status, answer.body) == (404, {"error": expected})


def test_an_answer_that_has_begun_is_cut_off_and_not_followed_by_another(failing):
    from starlette.responses import StreamingResponse

    async def parts():
        yield b"begun"
        raise RuntimeError("in the middle")

    router = APIRouter()
    router.add_api_route("/store/cut", lambda: StreamingResponse(parts()), methods=["GET"])
    failing.framework().include_router(router)
    answer = failing.client.get("/store/cut")
    assert answer.status_code == 200
    assert answer.text in ("", "begun")
