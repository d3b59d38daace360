"""The JSON of one page of a list, which is bounded in bytes.

Each row becomes JSON as soon as it is read, so a page is held once, and not also as objects. A list with a cursor ends its
page early and continues with the next one. The lists of other platforms have only a limit, and their clients take a short
page for the last one: such a page is refused as a whole, so that nothing is missing unnoticed.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi.responses import Response

from chatstore_cli.render.json_text import as_json
from chatstore_cli.server.errors.error_bodies import Refusal

MOST_BYTES = 16 * 1024 * 1024
"""The most bytes of the rows of a page. A single row may have more."""


class PageText:
    """The rows of a page as JSON."""

    def __init__(self) -> None:
        self._rows: list[bytes] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: str) -> bool:
        """Add the JSON of a row. Returns False, without adding it, if the page would have more than MOST_BYTES."""
        encoded = row.encode("utf-8", "replace")
        self._bytes += len(encoded)
        if self._rows and self._bytes > MOST_BYTES:
            return False
        self._rows.append(encoded)
        return True

    def add_or_refuse(self, row: str, advice: str) -> None:
        """Add the JSON of a row. Raises Refusal if it does not fit. `{rows}` in the advice is the number of rows that do."""
        if not self.add(row):
            megabytes = MOST_BYTES // (1024 * 1024)
            message = f"The answer would have more than {megabytes} MiB. {advice.format(rows=len(self))}"
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message, kind="too_large")

    def body(
        self, key: str, *, before: Mapping[str, Any] | None = None, after: Mapping[str, Any] | None = None
    ) -> bytes:
        """A JSON object with the rows under `key`, and the other values before and after them."""
        parts = (_members(before), [f'"{key}":['.encode(), b",".join(self._rows), b"]"], _members(after))
        return b"{" + b",".join(b"".join(part) for part in parts if part) + b"}"


def _members(values: Mapping[str, Any] | None) -> list[bytes]:
    return [as_json(values, indented=False)[1:-1].encode("utf-8", "replace")] if values else []


def json_response(body: bytes) -> Response:
    """The answer with this JSON."""
    return Response(body, media_type="application/json")
