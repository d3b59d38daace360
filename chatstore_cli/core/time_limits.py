"""Limits the time of what a reader does."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from chatstore_cli.domain.session_reader import ReaderWithTimeLimit, SessionReader


def time_limited(reader: SessionReader, seconds: float) -> AbstractContextManager[None]:
    """Limit the total time of what a reader does inside, if it can be stopped."""
    return reader.within(seconds) if isinstance(reader, ReaderWithTimeLimit) else nullcontext()
