"""The server that has started, as a record."""

from __future__ import annotations

from chatstore_cli.render.listing import Column, Record


def server_record(
    *, url: str, process: int, target: str | None, journals: str, responder: str, needs_keys: bool
) -> Record:
    """Where the server answers, and what it works with. `target` None: MongoDB is disabled."""
    row = {
        "url": url,
        "pid": process,
        "target": target,
        "journals": journals,
        "responder": responder,
        "needs_keys": needs_keys,
    }
    columns = (
        Column("url", "URL"),
        Column("pid", "Process"),
        Column("target", "Target"),
        Column("journals", "Journals"),
        Column("responder", "Responder"),
        Column("needs_keys", "Needs keys"),
    )
    return Record(columns, row)
