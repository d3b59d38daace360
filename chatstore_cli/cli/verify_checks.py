"""The checks of `chatstore verify`, made from the configuration, also from one that is invalid."""

from __future__ import annotations

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.config.advice import find_unusual_settings
from chatstore_cli.config.settings import Settings
from chatstore_cli.core.verify.checklist import Check
from chatstore_cli.domain.errors import BadConfig
from chatstore_cli.domain.secrets import masked
from chatstore_cli.wiring.stores import Stores
from chatstore_cli.wiring.verify import store_checks


def check_names(invocation: Invocation) -> list[str]:
    """The names of all checks of the stores, for the options that select some of them."""
    _, checks, _ = store_checks_of(invocation, [])
    return [check.name for check in checks]


def store_checks_of(invocation: Invocation, journals: list[str]) -> tuple[Stores, list[Check], BadConfig | None]:
    """Every check, and the error of an invalid configuration: then all but the first are skipped."""
    read_only = invocation.options.read_only
    try:
        configuration = invocation.configuration
    except BadConfig as error:
        stores = Stores(Settings(), say=invocation.say)
        return stores, store_checks(stores, error, [], [], read_only, journals), error
    problems = [*configuration.problems, *find_unusual_settings(configuration)]
    warnings = [masked(f"{problem.where}: {problem.what}") for problem in problems]
    files = [str(path) for path in configuration.files]
    stores = invocation.stores
    return stores, store_checks(stores, None, warnings, files, read_only, journals), None
