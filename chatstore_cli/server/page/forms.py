"""The forms of the views: their fields with the values of the address, and an error for each invalid value."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import tzinfo
from http import HTTPStatus
from typing import Annotated

from fastapi import Query

from chatstore_cli.core.labels.checks import checked_tag
from chatstore_cli.domain.api_keys import Access
from chatstore_cli.domain.errors import BadValue, ChatstoreError, NotFound, WrongUse
from chatstore_cli.domain.periods import read_period
from chatstore_cli.domain.times import utc_now
from chatstore_cli.server.errors.error_bodies import refusal_of

Text = Annotated[str, Query()]
"""A field of a form; empty means none, as forms send it. The form checks its length."""

_LONGEST = 1_000
_OPTION = re.compile(r"--([a-z]+)")


class Form:
    """The fields of a form, and an error in words for each field whose value is not valid.

    If a value is not valid, the view shows the form as it was sent, with the errors and without results, so that nothing
    has to be typed again.
    """

    def __init__(
        self,
        fields: Mapping[str, str],
        *,
        always_shown: Collection[str] = (),
        usual: Mapping[str, str] | None = None,
        main: str | None = None,
    ) -> None:
        """On a phone, the fields that are not `always_shown` are folded while they have their `usual` values.

        Errors that name no field are reported at the `main` one.
        """
        self.fields = dict(fields)
        self.errors: dict[str, str] = {}
        self._folded = [name for name in fields if name not in always_shown]
        self._usual = usual or {}
        self._main = main

    @property
    def filters(self) -> dict[str, str]:
        """The fields that are not empty."""
        return {name: value for name, value in self.fields.items() if value}

    @property
    def is_open(self) -> bool:
        """Whether a field that can be folded has an error or a value that somebody chose."""
        return any(name in self.errors or self.fields[name] != self._usual.get(name, "") for name in self._folded)

    @property
    def focused(self) -> str | None:
        """The first field with an error."""
        return next((name for name in self.fields if name in self.errors), None)

    @property
    def status(self) -> HTTPStatus:
        """The status of a view with this form."""
        return HTTPStatus.BAD_REQUEST if self.errors else HTTPStatus.OK

    def check(self, zone: tzinfo, choices: Mapping[str, Iterable[str]]) -> None:
        """Check every field, so that all errors are reported at once. `choices` are the values of fields with a list."""
        for name, value in self.filters.items():
            if len(value) > _LONGEST:
                self.errors[name] = f"This has {len(value):,} characters. Use at most {_LONGEST:,}."
            elif name in choices and value not in (known := list(choices[name])):
                self.errors[name] = f"{value!r} is not one of: {', '.join(known)}."
        now = utc_now()
        since, until = self.filters.get("since"), self.filters.get("until")
        for first, last in ((since, None), (None, until)):
            with self.reports():
                read_period(first, last, now, zone)
        if not self.errors.keys() & {"since", "until"}:
            with self.reports():
                read_period(since, until, now, zone)
        if "tag" in self.filters:
            with self.reports():
                checked_tag(self.filters["tag"])

    @contextmanager
    def reports(self) -> Iterator[None]:
        """Keep an error that is about a field at this field. Other errors are raised: the form is not their cause."""
        try:
            yield
        except (WrongUse, NotFound) as error:
            name = self._field_of(error)
            if name is None:
                raise
            self.errors.setdefault(name, _words_of(error))

    def _field_of(self, error: ChatstoreError) -> str | None:
        if isinstance(error, BadValue):
            named = [str(error.facts["name"]).lstrip("-")]
        elif isinstance(error, NotFound):
            named = [str(error.facts.get("kind_of_thing"))]
        else:
            named = [*_OPTION.findall(error.message), self._main or ""]
        return next((name for name in named if name in self.fields), None)


def _words_of(error: ChatstoreError) -> str:
    """The error as it is shown at its field: without the name of the field."""
    refusal = refusal_of(error)
    message = refusal.message
    if isinstance(error, BadValue):
        message = f"{error.facts['value']!r} is not {error.facts['expected']}."
    return f"{message} {refusal.hint}" if refusal.hint else message


def one_of(access: Access) -> list[str]:
    """The tenants of a key for several, of which search and usage show one at a time; empty for other callers."""
    tenants = sorted(access.tenants or ())
    return tenants if len(tenants) > 1 else []


def shown_tenant(tenants: list[str], tenant: str) -> str:
    """The tenant of a view: the first of the key, unless the address names one of them."""
    return tenant if not tenants or tenant in tenants else tenants[0]
