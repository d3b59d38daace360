"""A small chat application over the library, with HTTP and WebSocket, and an echo instead of a model.

    python -m tests.support.applications.chat_application FD FOLDER URI DATABASE LOG

FD is a bound socket. The header `X-Fault: ~NAME~` makes single requests go wrong in one of many ways.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from chatstore_cli import ChatPersistenceWorker, LocalChatCache, MongoChatStorage

INTERVAL = 0.1


class Chats:
    """The caches, the storage, and one worker. The worker does not store what the second cache records."""

    def __init__(self, folder: Path, uri: str, database: str) -> None:
        self.cache = LocalChatCache(disk_path=folder)
        self.unflushed = LocalChatCache(disk_path=folder, for_worker=False)
        self.elsewhere = LocalChatCache(disk_path=folder.with_name("elsewhere"), for_worker=False)
        self.storage = MongoChatStorage(uri, database)
        self.storage.ensure_indexes()
        self.worker = ChatPersistenceWorker(self.cache, self.storage, interval=INTERVAL)
        self.worker.start()

    def record(self, fault: str, session: str, role: str, text: str) -> None:
        """Record a message, or record it with a fault."""
        if fault == f"no-{role}" or (fault == "record-only" and role == "assistant"):
            return
        if fault == "changed":
            text = text.upper()
        if fault == "no-flush":
            self.unflushed.record_chat_event(session, role, text)
        elif fault == "no-journal":
            message = self.elsewhere.record_chat_event(session, role, text)
            self.storage.insert_messages([message])
        else:
            self.cache.record_chat_event(session, role, text)
            if fault == "twice":
                self.storage.insert_messages([self.elsewhere.record_chat_event(session, role, text)])
        self.worker.notify_new_message()

    def history(self, fault: str, session: str, limit: int) -> dict[str, Any]:
        """A session's newest messages, merged from cache and MongoDB, with their figures."""
        stored = self.storage.history(session, limit)
        cached = [] if fault == "forgetful" else self.cache.messages(session, limit)
        merged = {message.message_id: self._row(message, "mongo") for message in stored}
        merged |= {message.message_id: self._row(message, "cache") for message in cached}
        rows = list(merged.values())
        if fault == "doubled":
            rows = [self._row(message, "mongo") for message in stored] + [self._row(one, "cache") for one in cached]
        if fault == "doubled-without-ids":
            rows = [self._row(message, "mongo") for message in stored] + [self._row(one, "cache") for one in cached]
            for number, row in enumerate(rows):
                row["message_id"] = f"row-{number}"
                row["created_at"] = row["created_at"][:23] + "Z"
        if fault == "part":
            rows = rows[1:]
        counts: dict[str, Any] = {name: sum(row["source"] == name for row in rows) for name in ("cache", "mongo")}
        persisted = self.worker.stats().last_persisted_at if stored else None
        wrong_times = {
            "stale": datetime.now(UTC) - timedelta(hours=1),
            "future": datetime.now(UTC) + timedelta(hours=1),
            "never": None,
        }
        persisted = wrong_times.get(fault, persisted)
        if fault == "miscounted":
            counts["cache"] += 1
        return {
            "session_id": session,
            "messages": rows,
            "counts": counts,
            "last_persisted_at": None if persisted is None else persisted.isoformat(),
        }

    @staticmethod
    def _row(message: Any, source: str) -> dict[str, Any]:
        return {
            "message_id": message.message_id,
            "role": message.role,
            "text": message.content,
            "created_at": message.created_at.isoformat(),
            "source": source,
        }

    def status(self, fault: str) -> dict[str, Any]:
        """The state of the storage and the settings of the cache."""
        health = self.storage.health()
        status = {"down": "error", "status-number": 1}.get(fault, health.status)
        return {
            "mongo": {"status": status, "latency_ms": health.latency_ms, "ttl_days": 30, "error": health.detail},
            "cache": {
                "max_messages_per_session": 50 if fault == "set-otherwise" else 75,
                "disk_path": str(self.cache.disk_path),
            },
        }


def faulty_response(fault: str) -> Response | None:
    """The response of a faulty server to every request."""
    deep = "[" * 100_000
    responses: dict[str, Response] = {
        "not-json": PlainTextResponse("<html>It works!</html>"),
        "not-utf8": Response(b'{"text": "\xff\xfe"}', media_type="application/json"),
        "too-deep": PlainTextResponse(deep, media_type="application/json"),
        "huge": PlainTextResponse("[" + "0," * 3_000_000 + "0]", media_type="application/json"),
        "redirected": RedirectResponse("https://user:hidden-word@elsewhere.example/login?token=hidden-word"),
        "crashed": PlainTextResponse("Internal Server Error\x1b[31m", status_code=500),
        "forbidden": JSONResponse({"detail": "who are you"}, status_code=401),
        "list": JSONResponse([1, 2, 3]),
        "null": JSONResponse(None),
        "number": JSONResponse(5),
        "nothing": Response(b""),
        "types": JSONResponse(
            {
                "session_id": None,
                "mongo": {"status": ["ok"], "max_messages_per_session": {"a": []}},
                "cache": ["disk_path"],
                "messages": [1, None, {"role": 5, "text": []}, {"role": "user"}, [], {"role": "user", "text": "x", "source": {}}],
                "counts": {"cache": True, "mongo": "7"},
                "last_persisted_at": {"$date": 1},
            }
        ),
        "absent": JSONResponse({"detail": "Not Found"}, status_code=404),
    }  # fmt: skip
    return responses.get(fault)


def application(folder: Path, uri: str, database: str) -> FastAPI:
    """The application."""
    slow_answers = folder.with_name("slow-answers")  # the test makes it when the application may answer
    chats = Chats(folder, uri, database)
    app = FastAPI()

    @app.middleware("http")
    async def add_fault(request: Request, call_next: Any) -> Response:
        fault = request.headers.get("x-fault", "").strip("~")
        if fault == "echo":
            return PlainTextResponse(repr(request.headers.get("authorization")), status_code=500)
        return faulty_response(fault) or await call_next(request)

    @app.post("/api/chat")
    async def chat(request: Request) -> Any:
        fault = request.headers.get("x-fault", "").strip("~")
        body = await request.json()
        session, text = body["session_id"], body["message"]
        if fault == "slow":
            while not slow_answers.exists():
                await asyncio.sleep(0.02)
        chats.record(fault, session, "user", text)
        if fault == "record-only":
            return {"ok": True}
        answer = f"You said: {text}"
        chats.record(fault, session, "assistant", answer)
        return {"reply": answer, "session_id": "of-its-own" if fault == "other-session" else session}

    @app.get("/api/storage/status")
    def status(request: Request) -> Any:
        return chats.status(request.headers.get("x-fault", "").strip("~"))

    @app.get("/api/chat/history")
    def history(request: Request, session_id: str, limit: int = 50) -> Any:
        fault = request.headers.get("x-fault", "").strip("~")
        if fault == "unknown-session":
            return JSONResponse({"detail": "no such session"}, status_code=404)
        return chats.history(fault, session_id, limit)

    @app.websocket("/ws/chat")
    async def talk(websocket: WebSocket, session_id: str) -> None:
        fault = websocket.headers.get("x-fault", "").strip("~")
        if fault == "no-websocket":
            await websocket.close()  # before it was accepted: 403
            return
        await websocket.accept()
        if fault == "closing":
            await websocket.close(1011, "no model today")
            return
        if fault == "binary":
            await websocket.send_bytes(b"\x00\x01")
        elif fault == "one-frame":
            await websocket.send_json({"type": "welcome", "status": "ok"})
        elif fault == "odd-frames":
            await websocket.send_text("hello there")
            await websocket.send_text("[" * 100_000)
            await websocket.send_json({"type": {"welcome": 1}})
        elif fault == "other-words":
            await websocket.send_json({"event": "connected", "session": None})
            await websocket.send_json({"type": "storage_status", "mongo": "ok"})
        elif fault == "platform":
            await websocket.send_json({"type": "chat_meta", "data": {"chat_id": session_id}})
        elif fault != "no-frames":
            welcome = {"type": "system", "message": "Connected", "session_id": session_id, "session_status": "new"}
            await websocket.send_json(welcome)
        try:
            while True:
                body = json.loads(await websocket.receive_text())
                chats.record(fault, session_id, "user", body["message"])
                answer = f"You said: {body['message']}"
                if fault not in ("one-frame", "no-frames", "odd-frames", "binary"):
                    await websocket.send_json({"type": "status", "status": "processing", "message": "Processing ..."})
                if fault != "no-assistant-ws":
                    chats.record(fault, session_id, "assistant", answer)
                if fault != "no-frames":
                    await websocket.send_json({"type": "response", "message": answer, "session_id": session_id})
        except WebSocketDisconnect:
            pass

    return app


def main() -> None:
    """Serve until TERM."""
    descriptor, folder, uri, database, log = sys.argv[1:]
    logging.basicConfig(filename=log, level=logging.INFO, format="%(asctime)s %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    bound = socket.socket(fileno=int(descriptor))
    server = uvicorn.Server(uvicorn.Config(application(Path(folder), uri, database), log_level="warning"))
    server.run(sockets=[bound])
    os._exit(0)


if __name__ == "__main__":
    main()
