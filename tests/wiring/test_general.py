"""General chats by the settings."""

from __future__ import annotations

import pytest

from chatstore_cli.config.settings import GeneralCollections, LayoutSettings, MongoSettings, Settings
from chatstore_cli.domain.errors import BadConfig
from chatstore_cli.wiring.general import general_chats
from chatstore_cli.wiring.stores import Stores


def test_without_a_collection_of_their_own_general_chats_cannot_be_opened() -> None:
    layouts = LayoutSettings(general=GeneralCollections(sessions=None))
    settings = Settings(mongo=MongoSettings(uri="mongodb://127.0.0.1:1"), layouts=layouts)  # nothing is connected
    with pytest.raises(BadConfig, match=r"layouts\.general\.sessions: General chats have no collection") as refused:
        general_chats(Stores(settings, say=print))
    assert refused.value.hint == "Set layouts.general.sessions to a collection that no other setting names."
