"""The checks of configuration, database and journals with the adapters that the settings select."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.core.verify.checklist import Check, Verdict
    from chatstore_cli.domain.errors import BadConfig
    from chatstore_cli.wiring.stores import Stores


def store_checks(
    stores: Stores,
    broken: BadConfig | None,
    warnings: Sequence[str],
    files: Sequence[str],
    read_only: bool,
    journals: Sequence[str] = (),
) -> list[Check]:
    """All checks that need no application, in their order. `broken` is the error of an invalid configuration.

    `journals` are journals or folders of journals, by default mongo.cache.disk_path. Raises NotFound if one of them does
    not exist.
    """
    from chatstore_cli.core.flush.status import find_future_journals
    from chatstore_cli.core.verify.checklist import Check
    from chatstore_cli.core.verify.database import DatabaseChecks
    from chatstore_cli.core.verify.local import LocalChecks
    from chatstore_cli.domain.errors import NotFound
    from chatstore_cli.domain.times import utc_now
    from chatstore_cli.wiring.agent_states import agent_state_checks
    from chatstore_cli.wiring.agents import agent_checks
    from chatstore_cli.wiring.general import general_checks
    from chatstore_cli.wiring.journals import journal_folder, named_journals, pending_lines
    from chatstore_cli.wiring.labels import label_checks
    from chatstore_cli.wiring.phone_numbers import phone_number_checks

    for name in journals:
        if not Path(name).exists():
            raise NotFound(kind_of_thing="journal file or folder", name=name, where="")
    settings = stores.settings
    seconds = settings.verify.seconds_per_check
    paths = [*journals] or [settings.mongo.cache.disk_path]
    whole_folders = [Path(path) for path in paths if not (journals and Path(path).is_file())]
    given = [Path(path).parent if journals and Path(path).is_file() else Path(path) for path in paths]
    folders = list(dict.fromkeys(given))
    local = LocalChecks(
        broken,
        warnings,
        files,
        folders,
        whole_folders,
        journal_folder,
        lambda: pending_lines(stores, seconds, paths),
        lambda: find_future_journals(named_journals(settings, paths), seconds),
        seconds,
        read_only,
    )
    database = DatabaseChecks(
        stores,
        list(settings.segments_of_sessions),
        seconds,
        read_only,
        utc_now,
        migrations=stores.migration_state if settings.threads_on_postgres else None,
        uses_mongo=stores.uses_mongo(),
    )
    registry = [Check("session-registry", lambda: _registry(stores), "connection")] if stores.uses_mongo() else []
    return [
        *local.first(),
        *database.all(),
        *(general_checks(stores) if stores.uses_mongo() else []),
        *registry,
        *(
            [*agent_checks(stores), *phone_number_checks(stores), *agent_state_checks(stores), *label_checks(stores)]
            if stores.uses_mongo()
            else []
        ),
        *local.last(),
    ]


def _registry(stores: Stores) -> Verdict:
    """The session registry, compared with the sessions of the workflow layout."""
    from chatstore_cli.core.verify.session_registry import registry_verdict
    from chatstore_cli.mongo.session_registry.sample import MongoRegistrySample

    bounds, name = stores.settings.verify, stores.settings.layouts.general.registry
    seconds = bounds.seconds_per_check
    sample = MongoRegistrySample(stores.connection, name, sample=bounds.sample, seconds=seconds)
    (sessions,) = stores.session_readers("workflow")
    with stores.within(seconds):
        return registry_verdict(sample, sessions.find, stores.server_now(), seconds)
