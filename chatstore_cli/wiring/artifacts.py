"""The reader of artifacts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.domain.artifacts import ArtifactReader
    from chatstore_cli.wiring.stores import Stores


def artifact_reader(stores: Stores) -> ArtifactReader:
    """The artifacts of the database that the settings name."""
    from chatstore_cli.mongo.artifacts import MongoArtifacts

    return MongoArtifacts(stores.connection, stores.settings)
