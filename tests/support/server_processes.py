"""`chatstore serve` as a process of its own, for tests, and a client that records what the server acknowledged."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.conftest import Chatstore
from tests.support.background_process import LONGEST_END_SECONDS, BackgroundProcess, running
from tests.support.mongod import poll


@dataclass
class ServerProcess(BackgroundProcess):
    """A running server."""

    url: str = ""

    @property
    def threads(self) -> int:
        """The number of its threads. Only Linux has this."""
        [line] = [line for line in self._status() if line.startswith("Threads:")]
        return int(line.split()[1])

    def _status(self) -> list[str]:
        return Path(f"/proc/{self.process.pid}/status").read_text().splitlines()

    def wait_until_it_serves(self) -> None:
        """It accepts requests."""
        poll(lambda: _is_whole(self.out_file) or self.process.poll() is not None, what="the server")
        assert self.process.poll() is None, self.err
        self.url = json.loads(self.out_file.read_text())["url"]

    def client(self) -> httpx2.Client:
        """A client of this server."""
        return httpx2.Client(base_url=self.url, timeout=LONGEST_END_SECONDS)

    def say(self, session_id: str, text: str) -> httpx2.Response:
        """POST /api/chat."""
        with self.client() as client:
            return client.post("/api/chat", json={"session_id": session_id, "message": text})


@contextmanager
def running_server(
    chatstore: Chatstore, *arguments: str, wait: bool = True, **variables: str
) -> Iterator[ServerProcess]:
    """A server on a free port with these settings of chatstore.server or variables. It is killed at the end if it runs."""
    environment = {**chatstore.environment, "CHATSTORE_SERVER__REQUESTS_PER_MINUTE": "0", **variables}
    command = ("serve", "--port", "0", "-o", "json", *arguments)
    with running(ServerProcess, chatstore, *command, env=environment) as server:
        if wait:
            server.wait_until_it_serves()
        yield server


def _is_whole(file: Path) -> bool:
    return file.read_text().endswith("}\n")


class Talk:
    """Threads that send messages until they are stopped or the server is gone. Every text is new."""

    def __init__(self, server: ServerProcess, prefix: str, threads: int = 4) -> None:
        self._server, self._prefix = server, prefix
        self._over = threading.Event()
        self.acknowledged: list[str] = []
        self.refused: list[int] = []
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(threads)]
        for each in self._threads:
            each.start()

    def wait_for(self, messages: int) -> None:
        """At least that many messages were acknowledged."""
        poll(lambda: len(self.acknowledged) >= messages or not self._is_alive, what="acknowledged messages")

    @property
    def _is_alive(self) -> bool:
        return any(each.is_alive() for each in self._threads)

    def end(self) -> list[str]:
        """Stop, and give the texts that were acknowledged."""
        self._over.set()
        for each in self._threads:
            each.join()
        assert self.refused == []
        return self.acknowledged

    def _send(self, number: int) -> None:
        with self._server.client() as client:
            for count in range(1_000_000):
                text = f"{self._prefix}-{number}-{count}"
                if self._over.is_set():
                    return
                try:
                    answer = client.post("/api/chat", json={"session_id": f"s{count % 3}", "message": text})
                except httpx2.HTTPError:  # the server is gone, and whether it recorded this text is not known
                    return
                if answer.status_code == httpx2.codes.OK:
                    self.acknowledged.append(text)
                else:
                    self.refused.append(answer.status_code)


def users_texts(documents: Any) -> list[str]:
    """The texts of stored user messages."""
    return [row["text"] for row in documents.find({"role": "user"}, {"text": 1})]
