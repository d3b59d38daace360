"""Rows of `sessions watch`."""

from __future__ import annotations

import io

from chatstore_cli.domain.session import Session
from chatstore_cli.domain.watch import Change, SessionChange
from chatstore_cli.render.formats import write
from chatstore_cli.render.listing import Listing, Terminal
from chatstore_cli.render.output_format import OutputFormat
from chatstore_cli.render.rows.watch import CHANGE_COLUMNS, change_row


def test_a_table_marks_an_id_that_is_only_that_of_a_document() -> None:
    stream = io.StringIO()
    deleted = [SessionChange(Change.DELETED, Session("65bb", "workflow"), None, only) for only in (True, False)]
    write(Listing(CHANGE_COLUMNS, map(change_row, deleted), live=True), OutputFormat.TABLE, stream, Terminal())
    marked, plain = stream.getvalue().splitlines()[1:]
    assert "65bb (_id)" in marked
    assert "65bb " in plain
    assert "(_id)" not in plain
