"""The server as an ASGI application in this process, over a real database: `with served(database...) as server`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.api_keys import Right
from chatstore_cli.server.app import create_app
from chatstore_cli.server.services import Services
from chatstore_cli.server.turns.responders.registry import responder_of
from tests.support.mongod import poll
from tests.support.patience import be_patient


@dataclass
class Served:
    """A running application."""

    client: TestClient
    services: Services
    app: Any

    def key(self, *tenants: str, right: Right = Right.ADMIN) -> dict[str, str]:
        """The headers of a new key. Without tenants it is for all of them."""
        return {"x-api-key": self.services.keys.create("test", right, tenants or None).text}

    def socket(self, path: str, headers: Mapping[str, str] | None = None) -> WebSocketTestSession:
        """A socket to this server, to use as a context manager."""
        return self.client.websocket_connect(path, headers={"host": "127.0.0.1:8000", **(headers or {})})

    def close_frame(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Code and reason with which a socket is closed before its first frame."""
        with pytest.raises(WebSocketDisconnect) as caught, self.socket(path, headers) as socket:
            socket.receive_json()
        return caught.value.code, caught.value.reason

    def wait_until_prepared(self) -> None:
        """The server has created its indexes, and with them its collections."""
        preparation = self.services.preparation
        assert preparation is not None
        poll(lambda: preparation.is_complete, what="the end of the preparation")

    def framework(self) -> Any:
        """The FastAPI application behind the gate."""
        return self.app.app._app


def settings_of(
    folder: Path, uri: str | None = None, database: str = "test", *, timeout: float = 5.0, **server: Any
) -> Settings:
    """Settings whose state and journals are in the folder. `server` are settings of chatstore.server.

    A recorded message is stored soon: its worker waits for others for 50 ms and not for a second.

    Without a URI the database is disabled: everything else of the server is quicker without one.
    """
    default = Settings()
    cache = replace(default.mongo.cache, disk_path=str(folder / "journals"))
    mongo = replace(
        default.mongo,
        uri=uri or default.mongo.uri,
        enabled=uri is not None,
        database=database,
        cache=cache,
        worker=replace(default.mongo.worker, interval_seconds=0.05),
        timeout_seconds=timeout,
    )
    of_server = replace(default.chatstore.server, **server)
    return replace(
        default,
        mongo=mongo,
        state=replace(default.state, folder=str(folder / "state")),
        chatstore=replace(default.chatstore, server=of_server),
    )


@contextlib.contextmanager
def served(settings: Settings) -> Iterator[Served]:
    """The application of these settings, started. Unexpected errors are answers, as for a real client."""
    services = Services(settings, responder_of(settings))
    app = create_app(services)
    client = TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False)
    with pytest.MonkeyPatch.context() as patch, client:
        be_patient(patch.setattr)
        yield Served(client, services, app)
