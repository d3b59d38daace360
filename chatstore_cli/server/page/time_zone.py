"""The choice of the time zone. It is part of the address of every view, so a link shows the same figures to everybody."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from chatstore_cli.config.time_zones import zone_names
from chatstore_cli.server.page.shell import ZONE, RequestedView, view_of_this_server
from chatstore_cli.server.requests import Reader, Served

router = APIRouter(include_in_schema=False)

_REGIONS = (
    "Africa/", "America/", "Antarctica/", "Arctic/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/", "Pacific/",
)  # fmt: skip
"""The other zones are older names of these, or have a fixed distance from UTC."""


@router.get("/page/time-zone")
async def time_zone_choice(
    view: RequestedView,
    services: Served,
    access: Reader,
    following: Annotated[str, Query(alias="next", max_length=50_000)] = "",
) -> HTMLResponse:
    """The form. `next` is the view that is shown afterwards; only views of this server are accepted."""
    target = urlsplit(view_of_this_server(following))
    kept = [(name, value) for name, value in parse_qsl(target.query) if name != ZONE]
    zones = ["UTC", *(name for name in zone_names() if name.startswith(_REGIONS))]
    if str(view.zone) not in zones:
        zones.insert(0, str(view.zone))
    shown = {"target": target.path, "kept": kept, "zones": zones, "default": services.settings.chatstore.timezone}
    return await view.draw("time_zone.html", lambda: shown)
