"""A streamed listing has the same bytes as any other, and its rows are written while they come."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO

import pytest

from chatstore_cli.render.formats import write
from chatstore_cli.render.listing import Column, Listing, Row, Terminal
from chatstore_cli.render.output_format import ROW_FORMATS, OutputFormat

COLUMNS = (Column("a", "A"), Column("b", "B"))
ROWS = [{"a": "x\ny", "b": {"c": [1, {}], "d": "\x1b"}}, {"a": "\u2028", "b": None}, {"a": "", "b": []}]


@pytest.mark.parametrize("output", ROW_FORMATS)
@pytest.mark.parametrize("rows", [ROWS, ROWS * 40, []])
def test_the_bytes_are_the_same(output: OutputFormat, rows: list[Row]) -> None:
    streams = StringIO(), StringIO()
    counts = [
        write(Listing(COLUMNS, iter(rows), streamed=streamed), output, stream, Terminal()).rows
        for stream, streamed in zip(streams, (False, True), strict=True)
    ]
    assert streams[0].getvalue() == streams[1].getvalue()
    assert counts == [len(rows)] * 2


@pytest.mark.parametrize("output", ROW_FORMATS)
def test_rows_are_not_collected(output: OutputFormat) -> None:
    """Long before the last of 9,000 rows is asked for, the first ones are written."""
    stream = StringIO()
    written: list[int] = []

    def rows() -> Iterator[Row]:
        for number in range(9_000):
            if number == 6_000:
                written.append(len(stream.getvalue()))
            yield {"a": number, "b": "x"}

    assert write(Listing(COLUMNS, rows(), streamed=True), output, stream, Terminal()).rows == 9_000
    assert written[0] > 10_000
