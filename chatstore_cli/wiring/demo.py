"""The database and the folder of `chatstore demo`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from chatstore_cli.domain.times import utc_now

if TYPE_CHECKING:
    from chatstore_cli.config.settings import Settings
    from chatstore_cli.core.demo.setup import DemoSetup
    from chatstore_cli.wiring.stores import Stores


def demo_setup(stores: Stores, folder: Path | None, warn: Callable[[str], None]) -> DemoSetup:
    """The demo's setup. Without a named folder, its folder is in the state folder.

    `warn` is called with a text if usage cannot be counted.
    """
    from dataclasses import asdict

    from chatstore_cli.core.demo.sample_agents import AgentSamples
    from chatstore_cli.core.demo.sample_general import GeneralSamples, SampleClock
    from chatstore_cli.core.demo.setup import DemoSetup
    from chatstore_cli.core.session_registry.registry import SessionRegistry
    from chatstore_cli.core.threads.repository import StoredConversations
    from chatstore_cli.files.demo_folder import MarkedFolder, demo_folder
    from chatstore_cli.files.state_folder import state_root
    from chatstore_cli.mongo.demo import MongoSampleStore
    from chatstore_cli.wiring.agents import agent_registry
    from chatstore_cli.wiring.general import general_chats
    from chatstore_cli.wiring.phone_numbers import phone_numbers
    from chatstore_cli.wiring.session_registry import registry_store
    from chatstore_cli.wiring.threads import mongo_thread_store
    from chatstore_cli.wiring.usage import session_metrics, usage_recorder

    settings = stores.settings = _with_general_chats(_with_own_agents(stores.settings))
    clock = SampleClock(utc_now())
    return DemoSetup(
        store=MongoSampleStore(stores.connection, settings.sessions_collection),
        usage=usage_recorder(stores, warn),
        conversations=StoredConversations(mongo_thread_store(stores)),
        general=GeneralSamples(
            general_chats(stores, warn, clock),
            session_metrics(stores),
            SessionRegistry(registry_store(stores), clock=clock),
            clock,
        ),
        agents=AgentSamples(agent_registry(stores), phone_numbers(stores)),
        folder=MarkedFolder(folder.absolute() if folder else demo_folder(state_root(settings.state.folder).absolute())),
        uri=settings.mongo.uri,
        database=settings.mongo.database,
        sessions_collection=settings.sessions_collection,
        messages_collection=settings.messages_collection,
        usage_collection=settings.layouts.workflow.usage,
        daily_sums_collection=settings.layouts.workflow.usage_rollups,
        threads_collection=settings.layouts.threads.threads,
        thread_messages_collection=settings.layouts.threads.messages,
        general_collections=asdict(settings.layouts.general),
        data_dir=settings.mongo.embedded.data_dir,
        runtime_dir=settings.mongo.embedded.runtime_dir,
    )


def _with_own_agents(settings: Settings) -> Settings:
    """The settings with the usual collections of agents, because the configuration of the demo's commands names none."""
    from chatstore_cli.config.settings import AgentSettings

    return replace(settings, chatstore=replace(settings.chatstore, agents=AgentSettings()))


def _with_general_chats(settings: Settings) -> Settings:
    """The settings with a collection for general chats, also if another layout has their usual one."""
    general = settings.layouts.general
    if general.sessions is not None:
        return settings
    layouts = replace(settings.layouts, general=replace(general, sessions="demo_general_chats"))
    return replace(settings, layouts=layouts)
