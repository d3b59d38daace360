"""`chatstore search --redact`: stored text is searched, and its personal data is not shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.stored_conversation import conversation_document

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore


@pytest.fixture(scope="module")
def store(module_database: Database[dict[str, Any]], module_chatstore: Chatstore) -> Chatstore:
    """The command over one conversation."""
    module_database["chat_sessions"].insert_one(conversation_document())
    return module_chatstore


@pytest.mark.parametrize(
    ("arguments", "marked"),
    [
        (("missing",), "missing"),
        (("--substring", "ssing. Write"), "ssing. Write"),
        (("--regex", r"arrived|miss\w+"), "missing"),
        (("ana@example.com",), "[email 1]"),
        (("--regex", r"\+49 [0-9 ]+"), None),
        (("--regex", r"ana@ex"), None),
    ],
)
def test_hits_are_marked_in_the_redacted_text(store: Chatstore, arguments: tuple[str, ...], marked: str | None) -> None:
    outcome = store("search", *arguments, "--role", "user", "--redact", "-o", "json")
    assert outcome.code == 0, outcome.err
    answer = json.loads(outcome.out)
    [hit] = answer["items"]
    assert "ana@example" not in outcome.out and "+49" not in outcome.out
    begin = hit["snippet_start"]
    shown = [hit["snippet"][start - begin : end - begin] for start, end in hit["offsets"][:1]]
    assert shown == ([] if marked is None else [marked])
    assert hit["text_length"] == len("Order 1234567890 is missing. Write to [email 1] or call [phone 1]. ") * 2
    assert answer["redacted"] == {"email": 1, "phone": 1}
    assert hit["user_id"] == "[email 1]"
    assert "Redacted: 1 e-mail address, 1 phone number." in outcome.err


def test_a_table_shows_the_stand_ins(store: Chatstore) -> None:
    assert "missing. Write to [email 1] or call [phone 1]." in store("search", "missing", "--redact").out
    assert "redacted" not in json.loads(store("search", "missing", "-o", "json").out)
