"""Paths that several families have: the root, and the health of the server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict

from chatstore_cli import __version__
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.server.metrics import Metrics
from chatstore_cli.server.requests import COMMON_FIGURES, Reader, Served, of_all_tenants

router = APIRouter(tags=["Server"])

SERVICE = "chatstore"
_READY_SECONDS = 3.0


def _with_example(**values: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"example": values})


class ServerName(BaseModel):
    """What this server is, and the paths that it has."""

    model_config = _with_example(
        status="online", service=SERVICE, name=SERVICE, version=__version__, endpoints=["/api/chat"]
    )
    status: str
    service: str
    name: str
    version: str
    endpoints: list[str]


class Health(BaseModel):
    """`uptime` is in seconds."""

    model_config = _with_example(status="ok", service=SERVICE, timestamp="2026-02-01T10:00:00.000000Z", uptime=12.5)
    status: str
    service: str
    timestamp: str
    uptime: float


class Alive(BaseModel):
    """The process answers."""

    model_config = _with_example(status="ok")
    status: str


class Readiness(BaseModel):
    """`status` is ready or unavailable, `database` is ok, unavailable or disabled.

    `recording` is whether messages are accepted: they are kept in the journal until the database stores them. `reading` is
    whether stored sessions can be read. `queue_depth` is the number of recorded messages that are not stored yet.
    """

    model_config = _with_example(status="ready", database="ok", recording=True, reading=True, queue_depth=0)
    status: str
    database: str
    recording: bool
    reading: bool
    queue_depth: int


@router.head("/", include_in_schema=False)
@router.get(
    "/",
    response_model=None,
    responses={200: {"model": ServerName, "content": {"text/html": {"example": "<!doctype html>"}}}},
)
async def root(request: Request, services: Served) -> Response:
    """A page for browsers; for programs, the name, the version and the paths of the server."""
    accepted = request.headers.get("accept", "")
    if "text/html" in accepted:
        return RedirectResponse("/page/sessions", HTTPStatus.SEE_OTHER)
    endpoints = sorted(request.app.openapi()["paths"])
    body = {"status": "online", "service": SERVICE, "name": SERVICE, "version": __version__, "endpoints": endpoints}
    return JSONResponse(body)


@router.head("/health", include_in_schema=False)
@router.get("/health")
async def health(services: Served) -> Health:
    """Whether the server answers. The database is not checked."""
    timestamp = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return Health(status="ok", service=SERVICE, timestamp=timestamp, uptime=round(services.uptime, 3))


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz")
async def alive() -> Alive:
    """Whether the process answers. For a liveness probe."""
    return Alive(status="ok")


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "The database does not answer. Messages are still recorded."}},
)
async def ready(services: Served) -> JSONResponse:
    """Whether the database answers: 503 if it does not. The body has what works meanwhile.

    Messages are recorded in both cases, so a process that is not ready must not be restarted because of it.
    """
    storage, worker = services.storage, services.worker
    try:
        is_up = (
            storage is not None and (await services.reading.run(storage.health, seconds=_READY_SECONDS)).status == "ok"
        )
    except ChatstoreError:
        is_up = False
    healthy = is_up or storage is None
    found = Readiness(
        status="ready" if healthy else "unavailable",
        database="disabled" if storage is None else "ok" if is_up else "unavailable",
        recording=True,
        reading=is_up,
        queue_depth=0 if worker is None else worker.stats().queue_depth,
    )
    return JSONResponse(found.model_dump(), HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE)


_TEXT = {"schema": {"type": "string"}, "example": "chatstore_queue_depth 0.0"}


@router.get("/metrics", response_class=PlainTextResponse, responses={200: {"content": {"text/plain": _TEXT}}})
async def metrics(request: Request, access: Reader) -> Response:
    """The metrics in the format of Prometheus. They are of all tenants together."""
    of_all_tenants(access, COMMON_FIGURES)
    found: Metrics = request.app.state.metrics
    return Response(await asyncio.to_thread(found.text), media_type=found.content_type)
