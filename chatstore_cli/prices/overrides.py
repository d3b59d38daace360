"""Prices in a file of the user, which have precedence over every other list.

currency: USD
prices:
  - models: [our-model, "gpt-4o*"]   # patterns; case is ignored
    input: 2.50                      # for one million tokens
    output: 10
    cached: 1.25                     # optional: cached tokens of the prompt
    from: 2026-01-01                 # optional: the first day, in UTC
    until: 2026-09-30                # optional: the last day
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from chatstore_cli.domain.errors import BadConfig
from chatstore_cli.domain.prices import Price

_MOST_BYTES = 1 << 20
_MOST_AMOUNT = Decimal(10) ** 9
_AMOUNT = re.compile(r"[0-9]{1,10}(\.[0-9]{1,20})?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_KEYS = ("models", "input", "output", "cached", "from", "until")


@dataclass(frozen=True, slots=True)
class _Entry:
    patterns: tuple[str, ...]
    price: Price


class PriceOverrides:
    """The PriceTable of a file. Of several entries that fit a model and a day, the first one counts."""

    def __init__(self, path: str, currency: str) -> None:
        """`currency` is that of the reports. Raises BadConfig with the line for anything that is not such a file."""
        self._path = path
        self._entries = tuple(_File(path, currency).entries())

    def describe(self) -> str:
        return self._path

    def prices(self, model: str) -> Sequence[Price]:
        name = model.lower()
        return tuple(
            entry.price for entry in self._entries if any(fnmatchcase(name, pattern) for pattern in entry.patterns)
        )

    def all_prices(self) -> Sequence[Price]:
        """All entries. The model of each is its patterns."""
        return tuple(replace(entry.price, model=", ".join(entry.patterns)) for entry in self._entries)


class _File:
    """Reads one file, and knows the line of everything in it."""

    def __init__(self, path: str, currency: str) -> None:
        self._path = path
        self._currency = currency

    def entries(self) -> Iterator[_Entry]:
        root = self._root()
        top = self._mapping(root, ("currency", "prices"), "the file")
        if "currency" in top:
            given = self._text(top["currency"], "currency").upper()
            if given != self._currency:
                raise self._error(
                    top["currency"],
                    f"the currency is {given}, but chatstore.usage.currency is {self._currency}. "
                    "Costs of two currencies cannot be added up",
                )
        if "prices" not in top:
            raise self._error(root, "the key prices is missing")
        for node in self._list(top["prices"], "prices"):
            yield self._entry(node)

    def _entry(self, node: Any) -> _Entry:
        fields = self._mapping(node, _KEYS, "an entry of prices")
        for name in ("models", "input", "output"):
            if name not in fields:
                raise self._error(node, f"the key {name} is missing")
        models = fields["models"]
        names = [models] if isinstance(models, yaml.ScalarNode) else self._list(models, "models")
        patterns = tuple(self._text(each, "models").lower() for each in names)
        if not patterns:
            raise self._error(models, "models is empty")
        cached = self._amount(fields["cached"], "cached") if "cached" in fields else None
        since, until = (self._day(fields[name], name) if name in fields else None for name in ("from", "until"))
        if since is not None and until is not None and until < since:
            raise self._error(fields["until"], f"until ({until}) is before from ({since})")
        price, output = (self._amount(fields[name], name) for name in ("input", "output"))
        return _Entry(patterns, Price(price, output, cached, self._currency, self._path, patterns[0], since, until))

    def _root(self) -> Any:
        try:
            with Path(self._path).open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
        except OSError as error:
            where = f"chatstore.usage.prices_file ({self._path})"
            raise BadConfig(where=where, what=f"cannot be read: {error.strerror or error}.") from error
        if len(content) > _MOST_BYTES:
            raise BadConfig(where=self._path, what=f"it has more than {_MOST_BYTES >> 20} MiB.")
        try:
            root = yaml.compose(content.decode(), Loader=yaml.SafeLoader)
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise BadConfig(where=f"{self._path}, line {line}", what="not UTF-8.") from error
        except RecursionError as error:
            raise BadConfig(where=self._path, what="too many lists and objects are inside each other.") from error
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = self._path if mark is None else f"{self._path}, line {mark.line + 1}"
            reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
            raise BadConfig(where=where, what=f"not YAML: {reason}.") from error
        if root is None:
            raise BadConfig(where=self._path, what="it is empty. It needs the key prices.")
        return root

    def _mapping(self, node: Any, keys: Sequence[str], subject: str) -> dict[str, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise self._error(node, f"{subject} is not a mapping")
        found: dict[str, Any] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "[]"
            if name not in keys:
                raise self._error(key, f"unknown key {name[:60]!r}; known keys: {', '.join(keys)}")
            if name in found:
                raise self._error(key, f"the key {name} is there twice")
            found[name] = value
        return found

    def _list(self, node: Any, subject: str) -> list[Any]:
        if not isinstance(node, yaml.SequenceNode):
            raise self._error(node, f"{subject} is not a list")
        return list(node.value)

    def _text(self, node: Any, subject: str) -> str:
        if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
            raise self._error(node, f"{subject} is not a text")
        return str(node.value).strip()

    def _amount(self, node: Any, subject: str) -> Decimal:
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        if not _AMOUNT.fullmatch(text) or Decimal(text) > _MOST_AMOUNT:
            raise self._error(node, f"{subject} is not an amount from 0 to {_MOST_AMOUNT:,}, such as 2.50")
        return Decimal(text)

    def _day(self, node: Any, subject: str) -> date:
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        try:
            if _DATE.fullmatch(text):
                return date.fromisoformat(text)
        except ValueError:
            pass
        raise self._error(node, f"{subject} is not a date such as 2026-10-01")

    def _error(self, node: Any, what: str) -> BadConfig:
        return BadConfig(where=f"{self._path}, line {node.start_mark.line + 1}", what=f"{what}.")
