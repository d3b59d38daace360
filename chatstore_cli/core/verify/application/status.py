"""What an application says about its storage, against the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from chatstore_cli.core.verify.application.run import brief
from chatstore_cli.core.verify.checklist import Verdict, failed, passed, warned

_DEEPEST = 4
_CONFIGURATION_HINT = "Give chatstore the application's configuration (--config), or restart the application with it."


def status_verdict(body: Any, expected: Mapping[str, Any]) -> Verdict:
    """`mongo.status` is "ok", and each setting of `expected` that is reported under `mongo` or `cache` is the same."""
    mongo = body.get("mongo") if isinstance(body, dict) else None
    if not isinstance(mongo, dict):
        what = f"the answer has no object mongo{_keys(body)}"
        return failed(what, 'The status is {"mongo": {"status": "ok", …}, "cache": {…}}.')
    status = mongo.get("status")
    if status != "ok" or not isinstance(status, str):
        reasons = (mongo.get(key) for key in ("error", "detail", "message", "reason"))
        reason = next((f": {brief(reason)}" for reason in reasons if isinstance(reason, str)), "")
        said = f"mongo.status is {brief(status)}" if "status" in mongo else "there is no mongo.status"
        return failed(f'{said} instead of "ok"{reason}', "See whether the application reaches its MongoDB.")
    reported = [*_settings("mongo", mongo, expected), *_settings("cache", body.get("cache"), expected)]
    wrong = [
        f"{where} is {brief(value)} there and {brief(expected[name])} here"
        for where, name, value in reported
        if not _is_same(value, expected[name])
    ]
    if wrong:
        return failed("; ".join(wrong), _CONFIGURATION_HINT)
    if not reported:
        what = "mongo.status is ok; no setting of the cache is reported"
        return warned(what, f"Report those of {', '.join(expected)} that there are, under mongo or cache.")
    names = ", ".join(dict.fromkeys(where for where, _, _ in reported))
    return passed(f"mongo.status is ok; as configured: {names}")


def _settings(where: str, section: Any, expected: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Where each known setting is reported, its name and what is reported, in a section and what it nests."""
    pending = [(where, section, 1)]
    while pending:
        place, found, level = pending.pop(0)
        if not isinstance(found, dict) or level > _DEEPEST:
            continue
        for name, value in found.items():
            if isinstance(value, dict):
                pending.append((f"{place}.{name}", value, level + 1))
            elif name in expected:
                yield f"{place}.{name}", name, value


def _is_same(reported: Any, configured: Any) -> bool:
    if isinstance(reported, bool) or isinstance(configured, bool):
        return reported is configured
    if isinstance(configured, PurePosixPath):
        return isinstance(reported, str) and _is_same_path(reported, configured)
    if isinstance(configured, int | float):
        return isinstance(reported, int | float) and reported == configured
    return bool(reported == configured)


def _is_same_path(reported: str, configured: PurePosixPath) -> bool:
    """A relative path is relative to wherever the application runs: then the end of an absolute one must be it."""
    there = PurePosixPath(reported)
    if there.is_absolute() == configured.is_absolute():
        return there == configured
    longer, shorter = (there, configured) if there.is_absolute() else (configured, there)
    return bool(shorter.parts) and longer.parts[-len(shorter.parts) :] == shorter.parts


def _keys(body: Any) -> str:
    if not isinstance(body, dict):
        return f", but is {brief(body)}"
    return f" (its keys are {', '.join(brief(key) for key in list(body)[:8])})" if body else ", but is empty"
