"""`chatstore history` of sessions of every layout, and with personal data replaced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli.files.session_names import journal_path
from tests.support.journals import record, write_journal
from tests.support.paths import SAMPLES
from tests.support.samples import store_sample
from tests.support.stored_conversation import CONVERSATION_ID, conversation_document

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore

pytestmark = pytest.mark.real
LAYOUTS = ("workflow", "general", "threads", "calls", "agent_sessions")
ENABLED = {"CHATSTORE_AGENTS__SESSIONS": "sessions", "CHATSTORE_AGENTS__MESSAGES": "messages"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_newest_messages_of_a_layout_are_those_that_its_reader_has(
    chatstore: Chatstore, database: Database[dict[str, Any]], layout: str
) -> None:
    store_sample(database, layout)
    sessions = json.loads((SAMPLES / f"{layout}.json").read_text())["sessions"]
    session_id = next(each["session_id"] for each in sessions if each["message_count"] > 1)
    whole = chatstore("sessions", "show", session_id, "--layout", layout, "--full", "-o", "json", env=ENABLED)
    assert whole.code == 0, whole.err
    expected = json.loads(whole.out)["items"]
    outcome = chatstore("history", session_id, "--layout", layout, "-o", "json", env=ENABLED)
    assert outcome.code == 0, outcome.err
    answer = json.loads(outcome.out)
    assert answer["items"] == [{**each, "source": "mongo", "persisted": True} for each in expected]
    assert answer["counts"] == {"cache": 0, "mongo": len(expected)}
    assert (answer["not_persisted"], answer["session_id"], answer["next_cursor"]) == (0, session_id, None)
    assert f"Shown: {len(expected)} (layout {layout})." in outcome.err
    newest = json.loads(
        chatstore("history", session_id, "--layout", layout, "--limit", "1", "-o", "json", env=ENABLED).out
    )
    assert newest["items"] == answer["items"][-1:]


def test_without_a_layout_flat_messages_come_first_and_then_every_other_layout(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    database["chat_sessions"].insert_one(conversation_document())
    found = chatstore("history", CONVERSATION_ID, "-o", "jsonl")
    assert (found.code, len(found.out.splitlines())) == (0, 8)
    write_journal(
        journal_path(chatstore.folder / Path("data/cache/chat_sessions"), CONVERSATION_ID),
        [record(1, session=CONVERSATION_ID, text="in the journal")],
    )
    assert "in the journal" in chatstore("history", CONVERSATION_ID).out
    assert "in the journal" not in chatstore("history", CONVERSATION_ID, "--layout", "workflow").out
    assert chatstore("history", CONVERSATION_ID, "--layout", "threads").code == 3
    missing = chatstore("history", "nobody")
    assert (missing.code, missing.out) == (3, "")
    assert "No session 'nobody' in the cache or in any layout" in missing.err


def test_an_id_of_two_layouts_needs_the_layout(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    document = conversation_document()
    database["chat_sessions"].insert_one(document)
    database["GeneralChatSessions"].insert_one({**document, "_id": CONVERSATION_ID, "session_type": "general"})
    outcome = chatstore("history", CONVERSATION_ID)
    assert (outcome.code, outcome.out) == (8, "")
    assert "--layout" in outcome.err
    assert chatstore("history", CONVERSATION_ID, "--layout", "general").code == 0


def test_redacted_messages_of_the_journal_and_of_a_layout(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    database["chat_sessions"].insert_one(conversation_document())
    write_journal(
        journal_path(chatstore.folder / Path("data/cache/chat_sessions"), "s1"),
        [record(1, text="I am ana@example.com"), record(2, text="ANA@example.com, +49 30 1234567")],
    )
    answer = json.loads(chatstore("history", "s1", "--redact", "-o", "json").out)
    assert [each["content"] for each in answer["items"]] == ["I am [email 1]", "[email 1], [phone 1]"]
    assert answer["redacted"] == {"email": 1, "phone": 1}
    for command in (("history",), ("sessions", "transcript")):
        outcome = chatstore(*command, CONVERSATION_ID, "--redact", "-o", "json")
        assert "ana@example" not in outcome.out
        assert json.loads(outcome.out)["redacted"] == {"email": 1, "phone": 1}
        assert "Redacted: 1 e-mail address, 1 phone number." in outcome.err
        assert "redacted" not in json.loads(chatstore(*command, CONVERSATION_ID, "-o", "json").out)
    table = chatstore("history", CONVERSATION_ID).out
    assert "See this\u21b5[image image/png, 2.9 KiB]" in table


def test_a_thread_in_postgresql_has_its_source(postgres_chatstore: Chatstore, mongo_uri: str) -> None:
    chatstore = postgres_chatstore
    thread = json.loads(chatstore("threads", "create", "Trip", "--user", "ana", "-o", "json").out)["thread_id"]
    assert chatstore("threads", "add", thread, "--role", "user", "--text", "Hello").code == 0
    for arguments, env in (
        (("--layout", "threads"), {}),
        ((), {"CHATSTORE_URI": mongo_uri}),
        ((), {"CHATSTORE_MONGO__ENABLED": "false"}),
    ):
        outcome = chatstore("history", thread, *arguments, "-o", "json", env=env)
        assert outcome.code == 0, outcome.err
        answer = json.loads(outcome.out)
        assert [(each["content"], each["source"]) for each in answer["items"]] == [("Hello", "postgres")]
        assert answer["counts"] == {"cache": 0, "mongo": 0, "postgres": 1}
