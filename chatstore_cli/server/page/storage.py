"""The view of the storage: what waits to be stored, how long storing takes, and the quarantined lines."""

from __future__ import annotations

from http import HTTPStatus
from itertools import islice
from pathlib import PurePath
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from chatstore_cli.domain.errors import NotFound
from chatstore_cli.render.rows.flush import quarantine_row
from chatstore_cli.render.safe import sanitize_line
from chatstore_cli.server.errors.error_bodies import Refusal
from chatstore_cli.server.page import words
from chatstore_cli.server.page.shell import RequestedView
from chatstore_cli.server.requests import Reader, Served
from chatstore_cli.server.routes.store_reports import status
from chatstore_cli.wiring.journals import named_journals

router = APIRouter(include_in_schema=False)

_MOST_LINES = 200
_COUNTS = (
    ("queue_depth", "Waiting to be stored"),
    ("flushed", "Stored since the start"),
    ("skipped", "Already stored"),
    ("quarantined", "Quarantined since the start"),
    ("lost", "Lost"),
)
_LATENCIES = (("flush_latency_p50", "Time to store (median)"), ("flush_latency_p99", "Time to store (99th percentile)"))


@router.get("/page/storage")
async def storage(view: RequestedView, services: Served, access: Reader) -> HTMLResponse:
    """The figures of this process, and the quarantine. They are of all tenants together."""
    if access.tenants is not None:
        message = "Storage shows the messages of all tenants together, and the key is limited to tenants."
        raise Refusal(HTTPStatus.FORBIDDEN, message, kind="tenant", hint="Sign in with a key for all tenants.")
    found = (await status(services, access)).model_dump()
    worker: dict[str, Any] = found["worker"] or {}
    figures = [("Running for", _duration(found["uptime"])), ("Open sockets", words.number(found["sockets"]))]
    figures += [(title, words.number(worker.get(name))) for name, title in _COUNTS]
    figures += [(title, _seconds(worker.get(name))) for name, title in _LATENCIES]
    # Not in the threads that read the database: this view is needed most while these wait for it.
    lines = await services.recording.run(lambda: list(islice(_quarantined(services.settings), _MOST_LINES + 1)))
    shown = {"figures": figures, "quarantined": lines[:_MOST_LINES], "has_more": len(lines) > _MOST_LINES}
    return await view.draw("storage.html", lambda: shown)


def _quarantined(settings: Any) -> Any:
    try:
        journals = named_journals(settings, None)
    except NotFound:  # nothing was recorded yet
        return
    for line in journals.numbered_lines():
        row = quarantine_row(line)
        yield {
            "number": row["number"],
            "file": sanitize_line(PurePath(str(row["source"])).name),  # the folder is for the operator only
            "line": row["line"],
            "reason": row["reason"],
        }


def _seconds(value: float | None) -> str:
    return words.NONE if value is None else f"{value * 1000:,.0f} ms"


def _duration(seconds: float) -> str:
    minutes = int(seconds) // 60
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
