"""Checks as items of a Markdown task list."""

from __future__ import annotations

import pytest

from chatstore_cli.domain.checks import CheckResult, CheckStatus
from chatstore_cli.render.rows.checks import check_list_item, check_row


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (CheckStatus.PASS, ("[x]", "gaps - none (0.100 s) Look.")),
        (CheckStatus.WARN, ("[ ]", "gaps - WARN: none (0.100 s) Look.")),
        (CheckStatus.FAIL, ("[ ]", "gaps - FAIL: none (0.100 s) Look.")),
        (CheckStatus.SKIP, ("[ ]", "gaps - SKIP: none (0.100 s) Look.")),
    ],
)
def test_a_check_is_ticked_only_if_it_passed(status: CheckStatus, shown: tuple[str, str]) -> None:
    assert check_list_item(check_row(CheckResult("gaps", status, 0.1, "none", "Look."))) == shown
