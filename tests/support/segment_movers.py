"""Processes that move messages into segments, to be killed: forked from one that has everything imported already."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from tests.support.forked_jobs import ForkedJobs, forked_jobs, serve


def segment_movers() -> AbstractContextManager[ForkedJobs]:
    """Processes that move messages of the session `chat`. `kill_at` of a job [instant, n, ...]: see KillAtCommand.

    A job with `forever` moves until the kill; with `after_moves` the commands count only after so many own moves.
    """
    return forked_jobs(__file__)


def _move(settings: dict[str, Any]) -> None:
    from pymongo import monitoring

    from chatstore_cli.config.settings import Settings
    from chatstore_cli.domain.errors import Conflict
    from chatstore_cli.mongo.connection import connect
    from chatstore_cli.mongo.session_documents.segment_mover import MongoSegmentStore
    from chatstore_cli.mongo.workflow.shape import WORKFLOW
    from tests.support.kill_at_command import KillAtCommand

    moves_before = settings.get("after_moves", 0)
    killer = KillAtCommand(*settings.get("kill_at", ("never", 0)), is_armed=moves_before == 0)
    monitoring.register(killer)
    store = MongoSegmentStore(WORKFLOW, connect(settings["uri"], settings["database"], timeout_seconds=10), Settings())
    bounds = {"keep_messages": settings.get("keep", 10), "at_most_bytes": settings.get("at_most", 1_500)}
    if not settings.get("forever"):
        store.move_oldest("chat", **bounds)
    while settings.get("forever"):
        try:
            moves_before -= store.move_oldest("chat", **bounds) is not None
        except Conflict:  # another mover was killed, and its lease has not ended
            continue
        if moves_before <= 0:
            killer.arm()


if __name__ == "__main__":
    import chatstore_cli.config.settings
    import chatstore_cli.mongo.session_documents.segment_mover  # noqa: F401 - imported once, for all that are forked

    serve(_move)
