"""A local endpoint in the shape of OpenAI's API: each answer of its model costs the same number of tokens."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PROMPT, COMPLETION = 60, 6
TOTAL = PROMPT + COMPLETION
COST = 0.072
"""Of one answer, at the price in `llm_config`."""


class _Model(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        message = {"role": "assistant", "content": f"Answer to {len(asked['messages'])} messages."}
        usage = {"prompt_tokens": PROMPT, "completion_tokens": COMPLETION, "total_tokens": TOTAL}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        answer = {"id": "1", "object": "chat.completion", "created": 1, "model": asked["model"], "choices": [choice]}
        body = json.dumps(answer | {"usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@contextmanager
def model_endpoint() -> Iterator[str]:
    """The base URL of a running endpoint."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Model)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def llm_config(base_url: str, model: str = "model-1") -> dict[str, Any]:
    """The `llm_config` of an agent that asks the endpoint."""
    asked = {"model": model, "base_url": base_url, "api_key": "none", "price": [1.0, 2.0]}
    return {"config_list": [asked], "cache_seed": None}
