"""`--timezone` accepts names in any case. The error for other text suggests a name."""

from __future__ import annotations

from datetime import UTC

import pytest

from chatstore_cli.config.time_zones import time_zone


@pytest.mark.parametrize("name", ["Europe/Berlin", "europe/berlin", "EUROPE/BERLIN"])
def test_the_case_of_a_name_does_not_matter(name: str) -> None:
    assert str(time_zone(name)) == "Europe/Berlin"


@pytest.mark.parametrize("name", ["UTC", "utc"])
def test_utc_is_utc(name: str) -> None:
    assert time_zone(name) is UTC


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("+02:00", "is an offset, not a time zone: use a name such as Europe/Berlin"),
        ("UTC+2", "is an offset"),
        ("-5", "is an offset"),
        ("Europe/Berln", "did you mean Europe/Berlin?"),
        ("new york", "did you mean America/New_York?"),
        ("Mars/Base", "use a name such as Europe/Berlin"),
        ("../../etc/passwd", "is not in this machine's table of time zones"),
        ("", "is not in this machine's table of time zones"),
        ("\x00", "is not in this machine's table of time zones"),
    ],
)
def test_text_that_is_not_a_zone_is_rejected_with_a_suggestion(name: str, error: str) -> None:
    with pytest.raises(ValueError) as rejected:
        time_zone(name)
    assert error in str(rejected.value)
