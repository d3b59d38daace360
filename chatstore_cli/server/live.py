"""Live changes: one thread per process follows the changes of all sessions, and passes them to sockets and event streams.

A subscriber gets what happens after it has subscribed. A change says that a session changed; the facts come with it, and
subscribers read the messages that they need. So a change that is reported twice, by this process and by the database, does no harm.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import dropwhile
from secrets import token_hex
from typing import TYPE_CHECKING, Any, NamedTuple

from chatstore_cli.core.watch.feed import Watch
from chatstore_cli.domain.queries import SessionQuery

if TYPE_CHECKING:
    from chatstore_cli.config.settings import Settings
    from chatstore_cli.domain.watch import SessionChange

_LOG = logging.getLogger("chatstore.server")
_MOST_WAITING = 1_000

LayoutAndId = tuple[str, str]


class Published(NamedTuple):
    """A change, and the id with which a client resumes after it. Two ids do not show how many changes are between them."""

    event_id: str
    change: SessionChange


class LiveFrame(NamedTuple):
    """A frame for clients. `after_turns`: it comes after the turns that are stored by then, because it refers to them."""

    frame: Mapping[str, Any]
    after_turns: bool


class Subscription:
    """The changes that one subscriber wants. Use it as a context manager, which ends it."""

    def __init__(
        self, live: LiveChanges, wants: Callable[[SessionChange], bool], follows: Callable[[LayoutAndId], bool]
    ) -> None:
        self._live, self._wants, self._follows = live, wants, follows
        self._changes: asyncio.Queue[Published | None] = asyncio.Queue(_MOST_WAITING)
        self._frames: list[LiveFrame] = []
        self.overflowed = False
        self.missed_frames = False
        """Whether frames were dropped, because the subscriber did not take them."""

    async def next(self, seconds: float | None = None) -> Published | None:
        """The next change. None if this process has written to the session, or if `seconds` passed without a change.

        After an overflow (`overflowed`) changes are missing, and the subscriber must report that to its client.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self._changes.get()
        except TimeoutError:
            return None

    def forget_waiting(self) -> None:
        """Drop the changes that wait: for a subscriber that has reacted to all of them at once."""
        while not self._changes.empty():
            self._changes.get_nowait()

    def take_frames(self) -> list[LiveFrame]:
        """The frames that wait, each once."""
        taken, self._frames = self._frames, []
        return taken

    def offer(self, published: Published) -> None:
        """Queue a change if the subscriber wants it."""
        if self._wants(published.change):
            self._put(published)

    def touch(self, session: LayoutAndId) -> None:
        """Wake the subscriber if it follows this session, to which this process has written."""
        if self._follows(session):
            self.wake()

    def wake(self) -> None:
        """End the subscriber's wait."""
        self._put(None)

    def send(self, session: LayoutAndId, frame: LiveFrame) -> None:
        """Give the subscriber a frame about this session if it follows it, and wake it."""
        if not self._follows(session):
            return
        if len(self._frames) >= _MOST_WAITING:
            self.missed_frames = True
            return
        self._frames.append(frame)
        self._put(None)

    def _put(self, published: Published | None) -> None:
        try:
            self._changes.put_nowait(published)
        except asyncio.QueueFull:
            self.overflowed = True

    def __enter__(self) -> Subscription:
        self._live.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._live.discard(self)


class LiveChanges:
    """Follows the database from the first subscriber on. It is used in one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._subscribers: set[Subscription] = set()
        self._watch: Watch | None = None
        self._recent: deque[Published] = deque(maxlen=_MOST_WAITING)
        self.is_watching = False
        """Whether every change is reported to subscribers: not before the database answers."""
        self.notes: list[str] = []
        """One for each layout whose changes are not reported, because the database's user may not read it."""

    def after(self, event_id: str) -> list[Published] | None:
        """The changes after the one with this id; None if this process does not have it."""
        later = list(dropwhile(lambda each: each.event_id != event_id, self._recent))
        return later[1:] or ([] if later else None)

    def subscribe(
        self, wants: Callable[[SessionChange], bool], follows: Callable[[LayoutAndId], bool] = lambda _: False
    ) -> Subscription:
        """The changes for which `wants` is true, and each write of this process to a session that it `follows`."""
        return Subscription(self, wants, follows)

    def add(self, subscription: Subscription) -> None:
        """Begin to serve a subscriber. The first one starts the thread."""
        self._subscribers.add(subscription)
        if self._watch is None and self._settings.mongo.enabled:
            self._watch = Watch(lambda text: _LOG.info("[LIVE] %s", text))
            arguments = (self._watch, asyncio.get_running_loop())
            threading.Thread(target=self._follow, args=arguments, name="chatstore-live", daemon=True).start()

    def discard(self, subscription: Subscription) -> None:
        """Stop serving a subscriber."""
        self._subscribers.discard(subscription)

    def touch(self, layout: str, session_id: str) -> None:
        """Report that this process has written to a session, without waiting for the database's report."""
        for each in list(self._subscribers):
            each.touch((layout, session_id))

    def send(self, layout: str, session_id: str, frame: LiveFrame) -> None:
        """Give a frame to each subscriber that follows the session: what clients should know, but what nobody stores."""
        for each in list(self._subscribers):
            each.send((layout, session_id), frame)

    def require_notes(self, notes: list[str]) -> None:
        """Restart the watch if it leaves out other layouts than these, because the user's rights have changed."""
        if self.is_watching and self._watch is not None and notes != self.notes:
            self._watch.terminate()
            self._start_again(self._watch)

    def stop(self) -> None:
        """End the thread soon. It is a daemon, so a database that hangs does not hold up the end of the process."""
        if self._watch is not None:
            self._watch.terminate()

    def _follow(self, watch: Watch, loop: asyncio.AbstractEventLoop) -> None:
        from chatstore_cli.wiring.readable import readable_sessions
        from chatstore_cli.wiring.stores import Stores
        from chatstore_cli.wiring.watching import connect_watch, watched_sessions

        stores = Stores(self._settings, say=watch.say)
        try:
            watch.call(lambda: connect_watch(stores, watch, None))
            changes = watched_sessions(stores, watch, SessionQuery(), None)
            notes = watch.call(lambda: readable_sessions(stores, None).notes)
            watch.begin()
            loop.call_soon_threadsafe(self._begin, watch, notes)
            for change in changes:
                if watch.is_over:
                    return
                loop.call_soon_threadsafe(self._publish, change)
        except RuntimeError:  # the loop is closed
            return
        except Exception:  # noqa: BLE001 - nothing above a thread catches its errors
            _LOG.exception("Live changes have stopped.")
            loop.call_soon_threadsafe(self._start_again, watch)
        finally:
            with suppress(Exception):
                stores.close()

    def _begin(self, watch: Watch, notes: list[str]) -> None:
        if watch is not self._watch:
            return
        self.is_watching, self.notes = True, notes
        for each in list(self._subscribers):  # for what changed after they had read and before the watch began
            each.wake()

    def _publish(self, change: SessionChange) -> None:
        published = Published(token_hex(8), change)
        self._recent.append(published)
        for each in list(self._subscribers):
            each.offer(published)

    def _start_again(self, ended: Watch) -> None:
        """Let the next subscriber start the thread again. Current subscribers are marked as overflowed: changes are missing."""
        if ended is not self._watch:  # another one has been started since
            return
        self._watch = None
        self.is_watching = False
        self._recent.clear()  # so no client resumes across the gap
        for each in list(self._subscribers):
            each.overflowed = True
