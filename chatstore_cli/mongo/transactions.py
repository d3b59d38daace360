"""One transaction, which does not outlive the call that began it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pymongo.errors as driver
from pymongo import MongoClient, ReadPreference
from pymongo.client_session import ClientSession
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from chatstore_cli.mongo.connection import Document


@contextmanager
def transaction(client: MongoClient[Document], write_concern: WriteConcern) -> Iterator[ClientSession]:
    """A session for the commands of one transaction: committed at the end, undone after an exception.

    After the time limit of the call, the driver sends no further command, not even the one that ends the transaction. The
    documents of the transaction would stay locked until the server undoes it after 60 seconds. So another thread, which
    has no time limit, ends the transaction, and the caller receives the error in time.
    """
    session = client.start_session()
    is_late = False
    try:
        session.start_transaction(
            read_concern=ReadConcern("snapshot"), write_concern=write_concern, read_preference=ReadPreference.PRIMARY
        )
        yield session
        session.commit_transaction()
    except BaseException as error:
        is_late = isinstance(error, driver.PyMongoError) and error.timeout
        if is_late:
            threading.Thread(target=_end, args=(session,), name="chatstore-transaction-end", daemon=True).start()
        elif session.in_transaction:
            session.abort_transaction()
        raise
    finally:
        if not is_late:
            session.end_session()


def _end(session: ClientSession) -> None:
    """End a transaction whose time limit has passed: undo it, or repeat the commit that may not have been sent."""
    try:
        if session.in_transaction:
            session.abort_transaction()
        else:
            session.commit_transaction()
    except driver.PyMongoError:
        pass  # the server cannot be reached, and undoes the transaction by itself
    finally:
        session.end_session()
