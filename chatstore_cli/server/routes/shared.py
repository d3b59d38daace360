"""Paths that several families have: the root, and the health of the server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from chatstore_cli import __version__
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.server.metrics import Metrics
from chatstore_cli.server.requests import Reader, Served, of_all_tenants

router = APIRouter(tags=["Server"])

SERVICE = "chatstore"


@router.get("/", response_model=None)
async def root(request: Request, services: Served) -> Response:
    """A page for browsers; for programs, the name, the version and the paths of the server."""
    accepted = request.headers.get("accept", "")
    if "text/html" in accepted:
        return RedirectResponse("/page/sessions", HTTPStatus.SEE_OTHER)
    endpoints = sorted(request.app.openapi()["paths"])
    body = {"status": "online", "service": SERVICE, "name": SERVICE, "version": __version__, "endpoints": endpoints}
    return JSONResponse(body)


@router.get("/health")
async def health(services: Served) -> dict[str, Any]:
    """Whether the server answers. The database is not checked."""
    return {
        "status": "ok",
        "service": SERVICE,
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "uptime": round(services.uptime, 3),
    }


@router.get("/healthz")
async def alive() -> dict[str, str]:
    """Whether the process answers. For a liveness probe."""
    return {"status": "ok"}


@router.get("/readyz", response_model=None)
async def ready(services: Served) -> Response:
    """Whether the database answers: 503 if it does not. Recorded messages are kept in the journal meanwhile."""
    storage = services.storage
    try:
        healthy = storage is None or (await services.reading.run(storage.health, seconds=3)).status == "ok"
    except ChatstoreError:
        healthy = False
    status = HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE
    return JSONResponse({"status": "ready" if healthy else "unavailable"}, status)


@router.get("/metrics", response_class=Response)
async def metrics(request: Request, access: Reader) -> Response:
    """The metrics in the format of Prometheus. They are of all tenants together."""
    of_all_tenants(access)
    found: Metrics = request.app.state.metrics
    return Response(await asyncio.to_thread(found.text), media_type=found.content_type)
