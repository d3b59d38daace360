"""What the tests of flushes share."""

from __future__ import annotations

from typing import Any

import pytest

from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.messages.inserting import MessageInserter
from tests.support.in_memory import connection_in_memory


@pytest.fixture
def memory() -> Connection:
    """A Connection to an empty database in memory."""
    return connection_in_memory()


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Texts that the database refuses for as long as they are in the list."""
    texts: list[str] = []
    real = MessageInserter._insert_in_memory

    def insert(inserter: MessageInserter, documents: Any) -> Any:
        kept = [document for document in documents if document["text"] not in texts]
        answer = dict(real(inserter, kept))
        refused = [
            {"index": index, "code": 121, "errmsg": "Document failed validation"}
            for index, document in enumerate(documents)
            if document["text"] in texts
        ]
        if refused:
            assert not answer["writeErrors"]
        return answer | {"writeErrors": refused or answer["writeErrors"]}

    monkeypatch.setattr(MessageInserter, "_insert_in_memory", insert)
    return texts
