"""Threads and their messages in PostgreSQL. Each change is one transaction, which locks the row of its thread first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import batched
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, insert, select, true, update
from sqlalchemy.dialects.postgresql import insert as upsert

from chatstore_cli.core.threads.edits import edited
from chatstore_cli.core.threads.repetition import is_repetition
from chatstore_cli.core.threads.summaries import SUMMARY_ROLE, is_summary
from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.threads.models import ChatMessage, ChatThread
from chatstore_cli.domain.threads.ports import Owner, Window
from chatstore_cli.postgres.database import PostgresDatabase
from chatstore_cli.postgres.errors import Repeat
from chatstore_cli.postgres.schema import MESSAGES, THREADS
from chatstore_cli.postgres.threads.rows import edit_values, message_row, thread_row, to_message, to_thread


class PostgresThreadStore:
    """A ThreadStore over one PostgreSQL database."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
