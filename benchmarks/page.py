"""The page with much data: the first page of the sessions view, and pages of long transcripts.

    python benchmarks/page.py [--sessions 1000000] [--messages 100000] [--rounds 15] [--uri URI]

Each figure is a ratio, and its sides are measured in turn, in this process through the ASGI application. The first page of
the sessions view over `--sessions` workflow sessions is compared with that over 10,000, and with the call of the command,
`list_sessions`, on the same database. The usage view of five days is compared in the same two databases. A page of a
session with `--messages` messages is compared with a page of one with 100: the first and the last page, one around a hit of
a search in the middle, and the ones after and before that; for flat messages, a workflow session in segments, a thread, and
a session of a Python agent. The bounds hold for 1,000,000 sessions and 100,000 messages. Exits with status 1 if a figure
misses its bound.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from html import unescape
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._figures import Figures
from benchmarks._server import option_parser, server_uri
from benchmarks.listing import NEWEST, in_turn, report, session

SMALL = 10_000
SHORT = 100
SEGMENT = 1_000
ROWS = 50
DATABASE = "chatstore_benchmark_page_{}"
LARGE_TO_SMALL, VIEW_TO_CALL, LONG_TO_SHORT = 1.2, 3.0, 1.3


def main() -> None:
    """Print one line for each figure."""
    parser = option_parser(__doc__)
    parser.add_argument("--sessions", type=int, default=1_000_000, help="sessions in the large database")
    parser.add_argument("--messages", type=int, default=100_000, help="messages of the long sessions")
    parser.add_argument("--rounds", type=int, default=15)
    chosen = parser.parse_args()
    with server_uri(chosen.uri) as uri:
        measure(uri, chosen)


def measure(uri: str, chosen: argparse.Namespace) -> None:
    """Print the figures of one run, and exit with status 1 if one misses its bound."""
    from pymongo import MongoClient

    figures = Figures()
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    names = [DATABASE.format(size) for size in ("small", "large", "messages")]
    small, large, messages = names
    try:
        store_sessions(client[small], SMALL)
        store_sessions(client[large], chosen.sessions)
        for count in (SHORT, chosen.messages):
            store_messages(client[messages], count)
        with page_of(uri, small) as small_page, page_of(uri, large) as large_page:
            measure_sessions(figures, small_page, large_page, chosen)
        with page_of(uri, messages) as page:
            for layout in ("messages", "workflow", "threads", "agent_sessions"):
                measure_transcript(figures, page, layout, chosen)
    finally:
        for name in names:
            client.drop_database(name)
    figures.exit()


@contextlib.contextmanager
def page_of(uri: str, database: str) -> Iterator[Any]:
    """The application over a database, in this process."""
    from tests.support.mongod import poll
    from tests.support.served_app import served, settings_of

    with (
        tempfile.TemporaryDirectory() as folder,
        served(with_agent_sessions(settings_of(Path(folder), uri, database, requests_per_minute=0))) as server,
    ):
        preparation = server.services.preparation
        assert preparation is not None
        poll(lambda: preparation.is_complete, what="the end of the preparation")
        yield server


def with_agent_sessions(settings: Any) -> Any:
    """The settings with the collections of a Python agent, which are read only if they are named."""
    agents = replace(settings.chatstore.agents, sessions="agent_sessions", messages="agent_messages")
    return replace(settings, chatstore=replace(settings.chatstore, agents=agents))


# --- stored data -----------------------------------------------------------------------------------------------------


def store_sessions(database: Any, sessions: int) -> None:
    """Store workflow sessions, of which the newest are alike in every database."""
    database.client.drop_database(database.name)
    started = time.perf_counter()
    choose = Random(20260301)
    for first in range(0, sessions, 2_000):
        documents = [session(index, choose) for index in range(first, min(first + 2_000, sessions))]
        database["chat_sessions"].insert_many(documents, ordered=False)
    create_indexes(database)
    print(f"stored {sessions:,} sessions in {time.perf_counter() - started:.0f} s", file=sys.stderr)


def store_messages(database: Any, messages: int) -> None:
    """Store a session of each layout with so many messages; that of the workflow is in segments."""
    name = f"long-{messages}"
    texts = [f"Where is parcel {number}? " + "It left Lyon this morning. " * 4 for number in range(messages)]
    times = [NEWEST - timedelta(seconds=messages - number) for number in range(messages)]
    roles = ["assistant" if number % 2 else "user" for number in range(messages)]
    for first in range(0, messages, SEGMENT):
        numbers = range(first, min(first + SEGMENT, messages))
        database["chat_messages"].insert_many(
            {
                "session_id": name, "role": roles[number], "text": texts[number], "sequence": number,
                "message_id": f"{name}-{number}", "created_at": times[number].isoformat(timespec="microseconds"),
            }
            for number in numbers
        )  # fmt: skip
    elements = [
        {
            "role": roles[number], "content": texts[number], "sequence": number, "timestamp": times[number],
            "event_id": f"{name}-{number}",
        }
        for number in range(messages)
    ]  # fmt: skip
    count = max(0, messages // SEGMENT - 1)
    for number in range(count):
        moved = elements[number * SEGMENT : (number + 1) * SEGMENT]
        facts = {
            "message_count": SEGMENT,
            "first_sequence": moved[0]["sequence"],
            "last_sequence": moved[-1]["sequence"],
        }
        database["chat_session_segments"].insert_one(
            {"_id": f"{name}:{number + 1}", "chat_id": name, "segment": number + 1, "move": number, **facts}
            | {"messages": moved}
        )
    more = {"last_segment": count, "moved_messages": count * SEGMENT} if count else {}
    head = session(0, Random(1)) | {"chat_id": name, "messages": elements[count * SEGMENT :], **more}
    database["chat_sessions"].insert_one(head | {"last_sequence": messages - 1})
    identity = {"created_at": times[0], "updated_at": times[-1]}
    owner = {"user_id": "ana", "name": "Parcels", "org_id": "acme"}
    database["chat_threads"].insert_one({"_id": name, **owner, **identity})
    database["agent_sessions"].insert_one({"session_id": name, "user_id": "ana", "agent_id": "parcels", **identity})
    for first in range(0, messages, SEGMENT):
        numbers = range(first, min(first + SEGMENT, messages))
        database["chat_thread_messages"].insert_many(
            {
                "_id": f"{name}-{number}", "chat_thread_id": name, "sender_id": "ana", "sender_role": roles[number],
                "content": {"type": "text", "text": texts[number]}, "sequence": number + 1,
                "created_at": times[number], "updated_at": times[number],
            }
            for number in numbers
        )  # fmt: skip
        database["agent_messages"].insert_many(
            {"session_id": name, "role": roles[number], "content": texts[number], "created_at": times[number]}
            for number in numbers
        )
    create_indexes(database)


def create_indexes(database: Any) -> None:
    """Create the indexes that the server would create, so that it finds them."""
    from chatstore_cli.mongo.agent_sessions.documents import reading_indexes, session_id_index
    from chatstore_cli.mongo.messages.layout import index_specs as message_indexes
    from chatstore_cli.mongo.threads.index_specs import index_specs as thread_indexes
    from chatstore_cli.mongo.workflow.index_specs import index_specs

    specs = [*index_specs("chat_sessions"), *message_indexes("chat_messages")]
    specs += thread_indexes("chat_threads", "chat_thread_messages")
    specs += [session_id_index("agent_sessions"), *reading_indexes("agent_sessions", "agent_messages")]
    for spec in specs:
        options: dict[str, Any] = {"unique": spec.unique}
        if spec.partial_filter:
            options["partialFilterExpression"] = dict(spec.partial_filter)
        database[spec.collection].create_index(list(spec.keys), name=spec.name, **options)


# --- figures ---------------------------------------------------------------------------------------------------------


def measure_sessions(figures: Figures, small: Any, large: Any, chosen: argparse.Namespace) -> None:
    """The first page of the sessions view, against a small database and against the core's call."""
    from chatstore_cli.core.sessions.listing import list_sessions
    from chatstore_cli.domain.queries import SessionQuery
    from chatstore_cli.wiring.labels import shown_labels

    stores = large.services.stores

    def core() -> None:
        readers = stores.session_readers(None)
        page = list_sessions(readers, SessionQuery(), cursor=None, limit=ROWS, labels=shown_labels(stores))
        assert len(page.sessions) == ROWS

    path = "/page/sessions"
    ours, theirs, call = in_turn(10 * chosen.rounds, viewed(large, path), viewed(small, path), core)
    report(figures, f"sessions view, {chosen.sessions:,}", ours, f"{SMALL:,}", theirs, LARGE_TO_SMALL)
    report(figures, "sessions view, the core's call", ours, "list_sessions", call, VIEW_TO_CALL)
    period = urlencode({"by": "tenant", "since": (NEWEST - timedelta(days=5)).date().isoformat()})
    path = f"/page/usage?{period}"  # its 7,200 sessions are in both databases
    ours, theirs = in_turn(chosen.rounds, viewed(large, path), viewed(small, path))
    report(figures, f"usage view of five days, {chosen.sessions:,}", ours, f"{SMALL:,}", theirs, LARGE_TO_SMALL)


def measure_transcript(figures: Figures, server: Any, layout: str, chosen: argparse.Namespace) -> None:
    """Pages of a long session, each against the first page of a short one, which has as many messages."""
    short = viewed(server, address(layout, SHORT))
    middle = chosen.messages // 2 + SEGMENT // 2  # a page that needs two segments costs two answers more
    around_middle = found_by_search(server, layout, chosen.messages, middle)
    in_the_middle = server.client.get(around_middle).text
    pages = {
        "first": address(layout, chosen.messages),
        "after the middle": link(in_the_middle, 'rel="next"'),
        "before the middle": link(in_the_middle, 'rel="prev"').partition("#")[0],
        "last": address(layout, chosen.messages, at="end"),
        "around a hit": around_middle,
    }
    for name, path in pages.items():
        ours, theirs = in_turn(4 * chosen.rounds, viewed(server, path), short)
        report(figures, f"{layout}, {name}, {chosen.messages:,}", ours, f"first page of {SHORT}", theirs, LONG_TO_SHORT)


def address(layout: str, messages: int, **more: str) -> str:
    """The view of a stored session."""
    return f"/page/session?{urlencode({'layout': layout, 'id': f'long-{messages}', **more})}"


def found_by_search(server: Any, layout: str, messages: int, number: int) -> str:
    """The link that a search gives to this message."""
    query = urlencode({"text": f"parcel {number}", "layout": layout})
    links = hrefs(server.client.get(f"/page/search?{query}").text)
    return next(each for each in links if parse_qs(urlsplit(each).query).get("id") == [f"long-{messages}"])


def link(html: str, mark: str) -> str:
    """The link of a view that has this attribute. It may be above and below the messages."""
    found = next(part for part in html.split("<a ") if mark in part.partition(">")[0])
    return unescape(found.partition('href="')[2].partition('"')[0])


def hrefs(html: str) -> list[str]:
    """The links of a view."""
    return [unescape(part.partition('"')[0]) for part in html.split('href="')[1:]]


def viewed(server: Any, path: str) -> Callable[[], None]:
    """Open a view, and check that it has a whole page of rows or messages."""

    def run() -> None:
        html = server.client.get(path).text
        assert html.count('<th scope="row"') + html.count("<article ") == ROWS, html[:2_000]

    return run


if __name__ == "__main__":
    main()
