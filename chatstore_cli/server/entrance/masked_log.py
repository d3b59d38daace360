"""The lines of the log, without secrets: tracebacks of unexpected errors may have URIs and keys in any place."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from chatstore_cli.config.settings import value_of
from chatstore_cli.config.values import SECRETS
from chatstore_cli.domain.secrets import masked

if TYPE_CHECKING:
    from chatstore_cli.config.settings import Settings

_SHORTEST = 6
"""A shorter value, such as a test's, would also be a part of ordinary words."""


class MaskingFormatter(logging.Formatter):
    """Formats records, with their tracebacks, and masks these secrets and whatever looks like one."""

    def __init__(self, layout: str, secrets: Iterable[str]) -> None:
        super().__init__(layout)
        self._secrets = sorted(secrets, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return masked(text)


def secrets_of(settings: Settings) -> list[str]:
    """The secret values of the settings."""
    values = (value_of(settings, key) for key in SECRETS)
    return [value for value in values if isinstance(value, str) and len(value) >= _SHORTEST and value != "embedded"]
