"""All problems of the configuration, as `chatstore config check` reports them. Nothing is connected."""

from __future__ import annotations

import warnings

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.config.advice import find_unusual_settings
from chatstore_cli.config.loading import Configuration
from chatstore_cli.config.profiles import mark_of
from chatstore_cli.config.sources import Problem
from chatstore_cli.domain.errors import BadConfig, BadValue, WrongUse
from chatstore_cli.wiring.stores import Stores


def all_problems(invocation: Invocation) -> tuple[list[Problem], list[str]]:
    """The problems of the configuration in use, then those that only other profiles have, and the files."""
    try:
        configuration = invocation.load_configuration()
    except BadConfig as error:
        return [Problem(str(error.facts["where"]), str(error.facts["what"]), error.hint)], []
    problems = dict.fromkeys(_problems_of(invocation, configuration))
    in_use = configuration.profile
    for name in configuration.profiles:
        if in_use is not None and name == in_use.name:
            continue
        for problem in _problems_of(invocation, invocation.load_configuration(name)):
            if problem not in problems:
                where = problem.where if mark_of(name) in problem.where else f"{problem.where}{mark_of(name)}"
                is_serious = problem.serious and not problem.unset_variable
                problems[problem._replace(where=where, serious=is_serious)] = None
    return [*problems], [str(path) for path in configuration.files]


def _problems_of(invocation: Invocation, configuration: Configuration) -> list[Problem]:
    problems = [*configuration.problems, *find_unusual_settings(configuration)]
    if not any(problem.serious for problem in problems):
        problems += _uri_problems(invocation, configuration)
        problems += _postgres_problems(invocation, configuration)
    return problems


def _postgres_problems(invocation: Invocation, configuration: Configuration) -> list[Problem]:
    """Problems of the PostgreSQL of threads: an option that its driver does not know, or a missing extra."""
    try:
        if configuration.settings.threads_on_postgres:
            _ = Stores(configuration.settings, say=invocation.say).postgres
    except WrongUse as error:
        return [Problem(configuration.sources["chatstore.threads.uri"], error.message, error.hint)]
    return []


def _uri_problems(invocation: Invocation, configuration: Configuration) -> list[Problem]:
    """Problems that the driver finds in the URI. A mongodb+srv:// URI is skipped, as the driver would query DNS."""
    if not configuration.settings.mongo.uri.startswith("mongodb://"):
        return []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            _ = Stores(configuration.settings, say=invocation.say).connection
        except BadValue as error:
            return [Problem(configuration.sources["mongo.uri"], error.message, error.hint)]
    warned = [str(warning.message).partition(" Refer to")[0].rstrip(".") for warning in caught]
    return [Problem(configuration.sources["mongo.uri"], f"mongo.uri: {text}", serious=False) for text in warned]
