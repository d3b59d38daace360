"""`POST /api/chat` of `chatstore serve` with the responder echo, under load from wrk; and idle sockets.

    python benchmarks/server.py [--seconds 60] [--connections 200] [--outage 20] [--sockets 500] [--only load|outage|idle]

load      The rate of answers, as a share of the rate of the same route when it records nothing, measured right before and
          after it; the ratio of the 99th percentile of the latency to the median; failed requests.
outage    The same load while MongoDB is stopped for some seconds and started again: failed requests, and acknowledged
          messages that MongoDB does not have exactly once at the end.
idle      Sockets that only listen: the growth of the server's memory while they are open.

The server's limit of requests is off. wrk comes from the system's packages. Exits with status 1 if a figure misses its bound.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._figures import Figures
from tests.support.mongod import Mongod, poll, short_temporary_folder, start_mongod

DATABASE = "chatstore_benchmark"
LEAST_SHARE = 0.3
"""Bound of the rate, as a share of the rate of the route that records nothing."""
MOST_P99 = 5.0
"""Bound of the 99th percentile of the latency, as a multiple of the median."""
MOST_GROWTH = 1.02
"""Bound of the memory with idle sockets at the end, as a multiple of that when they have just opened."""
PROGRAM_OF_WRK = """
local number, id, file = 0, 0, nil
function setup(thread) thread:set("id", id); id = id + 1 end
function init()
  file = io.open(os.getenv("ACKNOWLEDGED") .. "/" .. wrk.thread:get("id"), "a")
  wrk.method = "POST"
  wrk.headers["content-type"] = "application/json"
end
function request()
  number = number + 1
  local body = string.format('{"session_id": "s%d", "message": "%d-%d-%s"}', number % 50, wrk.thread:get("id"), number, RUN)
  return wrk.format(nil, nil, nil, body)
end
function response(status, headers, body)
  if status == 200 then file:write(body, "\\n") end
end
function done(summary, latency)
  local e = summary.errors
  print(string.format('{"requests": %d, "microseconds": %d, "errors": %d, "p50": %d, "p99": %d}', summary.requests,
    summary.duration, e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))
end
"""


class Load(NamedTuple):
    """What wrk measured. Latencies are in milliseconds."""

    rate: float
    errors: int
    p50: float
    p99: float
    acknowledged: list[str]


class Server(NamedTuple):
    """A running server."""

    url: str
    pid: int

    @property
    def memory(self) -> int:
        """Its resident memory in KiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])


def main() -> None:
    """Run the chosen benchmarks, and print one line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--outage", type=float, default=20.0, help="seconds, within those of the load")
    parser.add_argument("--sockets", type=int, default=500)
    parser.add_argument("--only", choices=["load", "outage", "idle"])
    parser.add_argument("--serve-without-recording", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve_without_recording:
        serve_without_recording()
        return
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed. On Debian and Ubuntu: apt-get install wrk")
    figures = Figures()
    with short_temporary_folder() as folder:
        mongod = start_mongod(folder)
        try:
            if chosen.only in (None, "load"):
                measure_load(figures, mongod, chosen)
            if chosen.only in (None, "outage"):
                measure_outage(figures, mongod, chosen)
            if chosen.only in (None, "idle"):
                measure_idle(figures, mongod, chosen)
        finally:
            mongod.remove()
    figures.exit()


def serve_without_recording() -> None:
    """Serve the same routes, whose turns are not recorded."""
    from chatstore_cli.__main__ import main as command
    from chatstore_cli.server.turns.chat_turns import ChatTurns

    async def record(*_: Any) -> None:
        """Record nothing."""

    ChatTurns.record = record  # type: ignore[assignment,method-assign]  # it takes whatever is recorded
    sys.argv = ["chatstore", "serve", "--port", "0", "-o", "json"]
    command()


@contextlib.contextmanager
def running(mongod: Mongod, *, records: bool = True) -> Iterator[Server]:
    """A server with journals of its own."""
    command = ["-m", "chatstore_cli", "serve", "--port", "0", "-o", "json"]
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "HOME": folder,
            "CHATSTORE_URI": mongod.uri,
            "CHATSTORE_DATABASE": DATABASE,
            "CHATSTORE_SERVER__REQUESTS_PER_MINUTE": "0",
        }
        arguments = command if records else [str(Path(__file__).resolve()), "--serve-without-recording"]
        out, err = Path(folder, "out"), Path(folder, "err")
        with out.open("wb") as out_stream, err.open("wb") as err_stream:
            process = subprocess.Popen(
                [sys.executable, *arguments], cwd=folder, env=environment, stdout=out_stream, stderr=err_stream
            )
        try:
            poll(lambda: out.read_text().endswith("}\n") or process.poll() is not None, what="the server")
            if process.poll() is not None:
                raise SystemExit(err.read_text())
            yield Server(json.loads(out.read_text())["url"], process.pid)
        finally:
            process.terminate()
            process.wait()


def load(server: Server, seconds: float, connections: int) -> Load:
    """Send messages, each with another text, and collect the texts that were acknowledged."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "program.lua")
        program.write_text(f"RUN = '{time.time_ns()}'\n{PROGRAM_OF_WRK}")
        command = ["wrk", "-t", "2", "-c", str(connections), "-d", f"{seconds:.0f}s", "--timeout", "30s", "-s"]
        done = subprocess.run(
            [*command, str(program), f"{server.url}/api/chat"],
            env={**os.environ, "ACKNOWLEDGED": folder},
            capture_output=True,
            text=True,
            check=True,
        )
        found = json.loads(done.stdout.splitlines()[-1])
        lines = [line for number in (0, 1) for line in Path(folder, str(number)).read_text().splitlines()]
    texts = [json.loads(line)["response"].rpartition(": ")[2] for line in lines]
    rate = found["requests"] / found["microseconds"] * 1e6
    return Load(rate, found["errors"], found["p50"] / 1000, found["p99"] / 1000, texts)


def measure_load(figures: Figures, mongod: Mongod, chosen: argparse.Namespace) -> None:
    """The rate with and without recording. The latter is measured before and after, because the machine may be busy."""
    bare: list[Load] = []
    with running(mongod, records=False) as server:
        bare.append(load(server, chosen.seconds / 2, chosen.connections))
    with running(mongod) as server:
        recorded = load(server, chosen.seconds, chosen.connections)
        lost, doubled = compare(mongod, recorded.acknowledged)
    with running(mongod, records=False) as server:
        bare.append(load(server, chosen.seconds / 2, chosen.connections))
    without = sum(each.rate for each in bare) / len(bare)
    assert recorded.acknowledged, "wrk reported no acknowledged message"
    detail = f"{recorded.rate:.0f}/s, without recording {without:.0f}/s"
    figures.report("POST /api/chat, share of the rate", recorded.rate / without, at_least=LEAST_SHARE, detail=detail)
    detail = f"p50 {recorded.p50:.0f} ms, p99 {recorded.p99:.0f} ms"
    figures.report("POST /api/chat, p99 to p50", recorded.p99 / recorded.p50, at_most=MOST_P99, detail=detail)
    figures.report("POST /api/chat, failed requests", recorded.errors + sum(each.errors for each in bare), at_most=0)
    figures.report(
        "POST /api/chat, not stored once", lost + doubled, at_most=0, detail=f"{lost} lost, {doubled} double"
    )


def measure_outage(figures: Figures, mongod: Mongod, chosen: argparse.Namespace) -> None:
    """The load while MongoDB is stopped and started again."""

    def stop_for_some_seconds() -> None:
        time.sleep(chosen.seconds / 4)
        mongod.terminate()
        time.sleep(chosen.outage)
        mongod.start()

    with running(mongod) as server:
        stopping = threading.Thread(target=stop_for_some_seconds)
        stopping.start()
        loaded = load(server, chosen.seconds, chosen.connections)
        stopping.join()
        lost, doubled = compare(mongod, loaded.acknowledged)
    assert loaded.acknowledged, "wrk reported no acknowledged message"
    detail = f"{len(loaded.acknowledged)} acknowledged, p99 {loaded.p99:.0f} ms"
    figures.report("MongoDB stopped, failed requests", loaded.errors, at_most=0, detail=detail)
    figures.report(
        "MongoDB stopped, not stored once", lost + doubled, at_most=0, detail=f"{lost} lost, {doubled} double"
    )


def compare(mongod: Mongod, acknowledged: list[str]) -> tuple[int, int]:
    """How many acknowledged messages are not stored, and how many are stored twice, once the worker has caught up."""
    messages = mongod.client()[DATABASE]["chat_messages"]
    wanted = set(acknowledged)
    stored: Counter[str] = Counter()

    def has_all() -> bool:
        nonlocal stored
        stored = Counter(row["text"] for row in messages.find({"role": "user"}, {"text": 1}))
        return wanted <= stored.keys()

    with contextlib.suppress(AssertionError):
        poll(has_all, within=300, every=1, what="the acknowledged messages")
    return len(wanted - stored.keys()), sum(count > 1 for count in stored.values())


def measure_idle(figures: Figures, mongod: Mongod, chosen: argparse.Namespace) -> None:
    """Memory while sockets are open and say nothing."""
    with running(mongod) as server:
        asyncio.run(_measure_idle(figures, server, chosen))


async def _measure_idle(figures: Figures, server: Server, chosen: argparse.Namespace) -> None:
    from websockets.asyncio.client import connect

    before = server.memory
    address = server.url.replace("http", "ws") + "/ws/chat?session_id="
    sockets = []
    for number in range(chosen.sockets):
        sockets.append(await connect(f"{address}idle-{number}"))
        await sockets[-1].recv()
    await asyncio.sleep(1)
    opened = server.memory
    await asyncio.sleep(chosen.seconds)
    at_end = server.memory
    detail = (
        f"{opened / 1024:.0f} MiB, then {at_end / 1024:.0f} MiB; {(opened - before) / chosen.sockets:.0f} KiB a socket"
    )
    figures.report(f"{chosen.sockets} idle sockets, memory", at_end / opened, at_most=MOST_GROWTH, detail=detail)
    await asyncio.gather(*(socket.close() for socket in sockets))


if __name__ == "__main__":
    main()
