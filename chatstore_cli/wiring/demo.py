"""The stage of `chatstore demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.core.demo import DemoStage
    from chatstore_cli.wiring.stores import Stores


def demo_stage(stores: Stores, folder: Path | None) -> DemoStage:
    """The database and the folder of `chatstore demo`; the folder is in the state folder unless one is named."""
    from chatstore_cli.core.demo import DemoStage
    from chatstore_cli.files.sample_folder import MarkedFolder
    from chatstore_cli.files.state import state_root
    from chatstore_cli.mongo.sample_store import MongoSampleStore

    settings = stores.settings
    return DemoStage(
        store=MongoSampleStore(stores.connection, settings.sessions_collection),
        folder=MarkedFolder((folder or state_root(settings.state.folder) / "demo").absolute()),
        uri=settings.mongo.uri,
        database=settings.mongo.database,
        sessions_collection=settings.sessions_collection,
        messages_collection=settings.messages_collection,
        data_dir=settings.mongo.embedded.data_dir,
        runtime_dir=settings.mongo.embedded.runtime_dir,
    )
