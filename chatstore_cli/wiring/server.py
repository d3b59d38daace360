"""The adapters of the server: the file with its keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatstore_cli.core.api_keys.keys import ApiKeys

if TYPE_CHECKING:
    from chatstore_cli.config.settings import Settings


def api_keys(settings: Settings) -> ApiKeys:
    """The keys of the server, in the state folder of the settings."""
    from chatstore_cli.files.api_keys import ApiKeyFile
    from chatstore_cli.files.state_folder import state_root

    return ApiKeys(ApiKeyFile(state_root(settings.state.folder) / "server-keys.json"))
