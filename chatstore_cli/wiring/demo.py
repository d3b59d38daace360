"""The database and the folder of `chatstore demo`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.core.demo.setup import DemoSetup
    from chatstore_cli.wiring.stores import Stores


def demo_setup(stores: Stores, folder: Path | None, warn: Callable[[str], None]) -> DemoSetup:
    """The demo's setup. Without a named folder, its folder is in the state folder.

    `warn` is called with a text if usage cannot be counted.
    """
    from chatstore_cli.core.demo.setup import DemoSetup
    from chatstore_cli.core.threads.repository import StoredConversations
    from chatstore_cli.files.demo_folder import MarkedFolder
    from chatstore_cli.files.state_folder import state_root
    from chatstore_cli.mongo.demo import MongoSampleStore
    from chatstore_cli.wiring.threads import mongo_thread_store
    from chatstore_cli.wiring.usage import usage_recorder

    settings = stores.settings
    return DemoSetup(
        store=MongoSampleStore(stores.connection, settings.sessions_collection),
        usage=usage_recorder(stores, warn),
        conversations=StoredConversations(mongo_thread_store(stores)),
        folder=MarkedFolder((folder or state_root(settings.state.folder) / "demo").absolute()),
        uri=settings.mongo.uri,
        database=settings.mongo.database,
        sessions_collection=settings.sessions_collection,
        messages_collection=settings.messages_collection,
        usage_collection=settings.layouts.workflow.usage,
        daily_sums_collection=settings.layouts.workflow.usage_rollups,
        threads_collection=settings.layouts.threads.threads,
        thread_messages_collection=settings.layouts.threads.messages,
        data_dir=settings.mongo.embedded.data_dir,
        runtime_dir=settings.mongo.embedded.runtime_dir,
    )
