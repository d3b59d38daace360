"""A proxy in front of MongoDB that loses acknowledgements: the write is done, and its answer is dropped."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from pathlib import Path


class LossyProxy:
    """Forwards a unix socket; while `lose` is above 0, it drops the connection instead of the answer to a command."""

    def __init__(self, listen_at: Path, server: Path, command: str = "insert") -> None:
        self.lose = 0
        self.lost = 0
        self._server = str(server)
        self._command = b"\x02" + command.encode() + b"\x00"
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(listen_at))
        self._listening.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
            server.connect(self._server)
            inserting = False
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(1 << 20)
                    if not data:
                        return
                    if ready is client:
                        inserting = inserting or self._command in data
                        server.sendall(data)
                    elif inserting and self.lose > 0:
                        self.lose -= 1
                        self.lost += 1
                        return
                    else:
                        inserting = False
                        client.sendall(data)
