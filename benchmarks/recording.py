"""Recording messages: the time of a call, and the time until the worker has stored everything.

    python benchmarks/recording.py [--runs 5] [--seconds 10] [--load-seconds 60] [--only latency|load]

latency   1,000 messages a second into 50 sessions, with MongoDB up, down (killed), and hanging (SIGSTOP): the p99 of
          record_chat_event in each run, and the median of the runs. In the same run the p99 of a plain append of the same
          text to an open file is measured, which is the cost of the machine itself.
load      5,000 messages a second for a minute from 4 threads: latencies, the time from the end until all are stored, and
          the memory of the process after 10 seconds and at the end.

Each run is a process of its own. Exits with status 1 if a figure misses its bound.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._figures import Figures

DATABASE = "chatstore_benchmark"
RATE = 1_000
SESSIONS = 50
MOST_MILLISECONDS = 1.0
"""Bound of the p99 of record_chat_event, as the median of the runs."""
MOST_SECONDS_BEHIND = 5.0
"""Bound of the time from the end of the load until all its messages are stored."""
LOAD_RATE = 5_000
LOAD_THREADS = 4
LOAD_SESSIONS = 400
WORDS = (
    "yes",
    "no",
    "please",
    "order",
    "the",
    "table for two",
    "at seven thirty",
    "tomorrow",
    "with a view of the river",
)


def main() -> None:
    """Run the chosen benchmarks, and print one line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--load-seconds", type=float, default=60.0)
    parser.add_argument("--only", choices=["latency", "load"])
    parser.add_argument("--fsync", default="never", choices=["never", "interval", "always"])
    parser.add_argument("--record", nargs=3, metavar=("KIND", "URI", "FOLDER"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.record:
        kind, uri, folder = chosen.record
        print(json.dumps((record_steadily if kind == "latency" else record_hard)(uri, folder, chosen)))
        return
    figures = Figures()
    if chosen.only != "load":
        for state in ("up", "down", "hanging"):
            runs = [run_latency(state, chosen) for _ in range(chosen.runs)]
            p99 = statistics.median(run["p99"] for run in runs)
            each = ", ".join(f"{run['p99']:.3f}" for run in runs)
            detail = (
                f"each run {each}, p50 {statistics.median(run['p50'] for run in runs):.3f}, "
                f"longest {max(run['longest'] for run in runs):.1f}, "
                f"plain append p99 {statistics.median(run['plain_p99'] for run in runs):.3f}"
            )
            name = f"record_chat_event p99, {RATE:,}/s, MongoDB {state}"
            figures.report(name, p99, "ms", at_most=MOST_MILLISECONDS, detail=detail)
    if chosen.only != "latency":
        run_load(chosen, figures)
    figures.exit()


def run_latency(state: str, chosen: argparse.Namespace) -> dict[str, float]:
    """One run against a server that is up, down or hanging."""
    from tests.support.mongod import short_temporary_folder, start_mongod

    with short_temporary_folder() as folder, tempfile.TemporaryDirectory() as journals:
        server = start_mongod(folder)
        assert server.process is not None
        try:
            if state == "down":
                server.kill()
            elif state == "hanging":
                server.process.send_signal(signal.SIGSTOP)
            return run_process("latency", server.uri, journals, chosen)
        finally:
            if state == "hanging" and server.process is not None:
                server.process.send_signal(signal.SIGCONT)
            server.remove()


def run_load(chosen: argparse.Namespace, figures: Figures) -> None:
    """The minute of high load."""
    from tests.support.mongod import short_temporary_folder, start_mongod

    with short_temporary_folder() as folder, tempfile.TemporaryDirectory() as journals:
        server = start_mongod(folder)
        try:
            report = run_process("load", server.uri, journals, chosen)
            stored = server.client()[DATABASE]["chat_messages"].count_documents({})
        finally:
            server.remove()
    assert stored == report["recorded"], (stored, report)
    detail = f"p50 {report['p50']:.3f}, longest {report['longest']:.1f}, {report['rate']:,.0f} messages a second"
    figures.report(f"record_chat_event p99 from {LOAD_THREADS} threads", report["p99"], "ms", detail=detail)
    detail = f"{stored:,} messages; batches p50 {report['batch_p50']:.1f} ms, p99 {report['batch_p99']:.1f} ms"
    figures.report("time until all are stored", report["behind"], "s", at_most=MOST_SECONDS_BEHIND, detail=detail)
    detail = f"after 10 seconds {report['memory_early']:.0f} MiB"
    figures.report("memory at the end", report["memory"], "MiB", detail=detail)


def run_process(kind: str, uri: str, journals: str, chosen: argparse.Namespace) -> dict[str, Any]:
    """The figures of one recording process."""
    command = [sys.executable, __file__, "--record", kind, uri, journals, "--fsync", chosen.fsync]
    command += ["--seconds", str(chosen.seconds), "--load-seconds", str(chosen.load_seconds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def record_steadily(uri: str, folder: str, chosen: argparse.Namespace) -> dict[str, float]:
    """In the process of a run: record at a constant rate, and measure each call."""
    from chatstore_cli import ChatPersistenceWorker, LocalChatCache, MongoChatStorage

    cache = LocalChatCache(disk_path=folder, fsync=chosen.fsync)
    worker = ChatPersistenceWorker(cache, MongoChatStorage(uri, DATABASE, timeout_seconds=2))
    worker.start()
    chance = random.Random(7)
    texts = [" ".join(chance.choices(WORDS, k=chance.randint(3, 40))) for _ in range(1_000)]
    for number in range(SESSIONS):
        cache.record_chat_event(f"session-{number}", "user", "The first opens the file.")
    plain = os.open(Path(folder, "plain.txt"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    took: list[float] = []
    plain_took: list[float] = []
    count = int(chosen.seconds * RATE)
    started = time.perf_counter()
    for number in range(count):
        ahead = started + number / RATE - time.perf_counter()
        if ahead > 0:
            time.sleep(ahead)
        text = texts[number % len(texts)]
        called = time.perf_counter()
        cache.record_chat_event(f"session-{number % SESSIONS}", "user", text, {"channel": "web"})
        took.append(time.perf_counter() - called)
        called = time.perf_counter()
        os.write(plain, text.encode())
        plain_took.append(time.perf_counter() - called)
    worker.stop(0.0)
    return {**quantiles(took), "plain_p99": quantiles(plain_took)["p99"]}


def record_hard(uri: str, folder: str, chosen: argparse.Namespace) -> dict[str, float]:
    """In the process of a run: record from several threads, then wait until all is stored."""
    import psutil  # type: ignore[import-untyped]  # it has no type information

    from chatstore_cli import ChatPersistenceWorker, LocalChatCache, MongoChatStorage

    cache = LocalChatCache(disk_path=folder, fsync=chosen.fsync)
    storage = MongoChatStorage(uri, DATABASE)
    storage.ensure_indexes()
    worker = ChatPersistenceWorker(cache, storage)
    worker.start()
    process = psutil.Process()
    took: list[list[float]] = [[] for _ in range(LOAD_THREADS)]
    started = time.perf_counter()
    ends = started + chosen.load_seconds

    def record(thread: int) -> None:
        chance = random.Random(thread)
        texts = [" ".join(chance.choices(WORDS, k=chance.randint(3, 40))) for _ in range(1_000)]
        each = LOAD_RATE / LOAD_THREADS
        number = 0
        while (now := time.perf_counter()) < ends:
            ahead = started + number / each - now
            if ahead > 0:
                time.sleep(ahead)
            called = time.perf_counter()
            cache.record_chat_event(f"session-{chance.randrange(LOAD_SESSIONS)}", "user", texts[number % 1_000])
            took[thread].append(time.perf_counter() - called)
            number += 1

    threads = [threading.Thread(target=record, args=(number,)) for number in range(LOAD_THREADS)]
    for thread in threads:
        thread.start()
    time.sleep(min(10.0, chosen.load_seconds / 2))
    early = process.memory_info().rss / 2**20
    for thread in threads:
        thread.join()
    ended = time.perf_counter()
    memory = process.memory_info().rss / 2**20
    recorded = sum(map(len, took))
    assert worker.stop(60.0), worker.stats()
    stats = worker.stats()
    return {
        **quantiles([seconds for of_thread in took for seconds in of_thread]),
        "rate": recorded / (ended - started),
        "recorded": recorded,
        "behind": time.perf_counter() - ended,
        "memory_early": early,
        "memory": memory,
        "batch_p50": stats.flush_latency_p50 or 0.0,
        "batch_p99": stats.flush_latency_p99 or 0.0,
    }


def quantiles(took: list[float]) -> dict[str, float]:
    """Quantiles in milliseconds."""
    ordered = sorted(took)
    return {
        "p50": ordered[len(ordered) // 2] * 1000,
        "p99": ordered[int(len(ordered) * 0.99)] * 1000,
        "longest": ordered[-1] * 1000,
    }


if __name__ == "__main__":
    main()
