"""The configuration of an application that stores threads: `DatabaseConfig` and `StateConfig`, from its own variables.

Names, defaults and variables are those of the library fluxibly. chatstore's own settings are in settings.py.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Literal, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chatstore_cli.config.sources import read_own_env_file
from chatstore_cli.core.threads.binding import DEFAULT_ORG, DEFAULT_USER
from chatstore_cli.domain.errors import BadVariable
from chatstore_cli.domain.secrets import masked

LOG = logging.getLogger("chatstore.threads")
_MOST_CONNECTIONS = 10_000
_LONGEST_SHOWN = 80

_VARIABLES = {
    "backend": ("DB_BACKEND", "one of mock, postgresql and mongodb"),
    "host": ("DB_HOST", "a host"),
    "port": ("DB_PORT", "a port from 1 to 65535"),
    "database": ("DB_NAME", "a database's name"),
    "user": ("DB_USER", "a user"),
    "password": ("DB_PASSWORD", "a password"),
    "pool_size": ("DB_POOL_SIZE", f"a whole number from 1 to {_MOST_CONNECTIONS}"),
    "max_overflow": ("DB_MAX_OVERFLOW", f"a whole number from 0 to {_MOST_CONNECTIONS}"),
}
"""Variable and expected value of each field of DatabaseConfig."""


class DatabaseConfig(BaseModel):
    """The store of an application's threads: memory (`mock`), PostgreSQL, or the MongoDB of chatstore's settings.

    The other fields describe the PostgreSQL server, and the other backends ignore them. `str()` and `repr()` do not contain
    the password, but `model_dump()` does.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    backend: Literal["mock", "postgresql", "mongodb"] = "mock"
    host: str = "localhost"
    port: int = Field(default=5432, ge=1, le=65_535)
    database: str = "fluxibly"
    user: str = "postgres"
    password: str = Field(default="", repr=False)
    pool_size: int = Field(default=5, ge=1, le=_MOST_CONNECTIONS)
    max_overflow: int = Field(default=10, ge=0, le=_MOST_CONNECTIONS)

    @classmethod
    def from_env(cls) -> Self:
        """The configuration of the variables `DB_*` in the environment, then in `.env`. An empty variable counts as unset.

        With the backend mongodb, the other variables are not read. Raises BadVariable, which is a ValueError.
        """
        variables = _Variables()
        return cls._of(variables, {"backend"} if variables.values.get("DB_BACKEND") == "mongodb" else {*_VARIABLES})

    @classmethod
    def postgresql_from_env(cls) -> Self:
        """The PostgreSQL server of the variables `DB_*`, whatever `DB_BACKEND` is. Raises BadVariable."""
        config = cls._of(_Variables(), {*_VARIABLES} - {"backend"})
        config.backend = "postgresql"
        return config

    @classmethod
    def _of(cls, variables: _Variables, read: set[str]) -> Self:
        try:  # no local variable has the password, because some tracebacks show local variables
            return cls.model_validate(
                {
                    field: variables.values[name]
                    for field, (name, _) in _VARIABLES.items()
                    if field in read and name in variables.values
                }
            )
        except ValidationError as error:
            name, expected = _VARIABLES[str(error.errors()[0]["loc"][0])]
            raise variables.error(name, expected) from None

    def get_connection_string(self) -> str:
        """The URI of the PostgreSQL server, with the password. User, password, host and database are percent-encoded."""
        host = self.host.removeprefix("[").removesuffix("]") if ":" in self.host else self.host
        shown_host = f"[{_quoted(host, ':')}]" if ":" in host else _quoted(host)
        account = f"{_quoted(self.user)}:{_quoted(self.password)}"
        return f"postgresql://{account}@{shown_host}:{self.port}/{_quoted(self.database)}"


class StateConfig(BaseModel):
    """Whether an application stores threads, for which user and tenant, and in which database.

    `enable_persistence` has no effect by itself. The application passes it as `persist_to_db` to its ConversationHistory.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    enable_persistence: bool = False
    user_id: str = DEFAULT_USER
    org_id: str = DEFAULT_ORG
    database: DatabaseConfig = Field(default_factory=DatabaseConfig)

    @classmethod
    def from_env(cls) -> Self:
        """The configuration of ENABLE_DB_PERSISTENCE, DEFAULT_USER_ID, DEFAULT_ORG_ID and the variables of DatabaseConfig.

        Only `true`, in upper or lower case, enables persistence. Raises BadVariable, which is a ValueError.
        """
        variables = _Variables()
        enabled = variables.values.get("ENABLE_DB_PERSISTENCE", "false")
        if enabled.lower() not in ("true", "false"):
            LOG.warning("ENABLE_DB_PERSISTENCE: %.80r does not enable persistence. Only true does.", enabled)
        return cls(
            enable_persistence=enabled.lower() == "true",
            user_id=variables.values.get("DEFAULT_USER_ID", DEFAULT_USER),
            org_id=variables.values.get("DEFAULT_ORG_ID", DEFAULT_ORG),
            database=DatabaseConfig.from_env(),
        )


class _Variables:
    """The variables of the environment and of `.env` that are not empty. The environment overrides `.env`."""

    def __init__(self) -> None:
        from_file, _ = read_own_env_file()
        self._from_environment = _not_empty(os.environ)
        self.values = _not_empty(from_file) | self._from_environment

    def error(self, name: str, expected: str) -> BadVariable:
        """The error for a variable with a wrong value."""
        origin = "environment" if name in self._from_environment else ".env"
        shown = "its value" if name == "DB_PASSWORD" else masked(repr(self.values[name]))[:_LONGEST_SHOWN]
        return BadVariable(where=f"{origin} {name}", what=f"{shown} is not {expected}.")


def _not_empty(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if value}


def _quoted(text: str, safe: str = "") -> str:
    return quote(text, safe=safe, errors="surrogateescape")
