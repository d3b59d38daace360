"""An application's report of its storage, compared with the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from chatstore_cli.core.verify.application.run import brief
from chatstore_cli.core.verify.checklist import Verdict, failed, passed, warned

_DEEPEST_LEVEL = 4
_CONFIGURATION_HINT = "Use the application's configuration (--config), or restart the application with this one."


def status_verdict(body: Any, expected: Mapping[str, Any]) -> Verdict:
    """`mongo.status` is "ok", and each setting of `expected` that is reported under `mongo` or `cache` is the same."""
    mongo = body.get("mongo") if isinstance(body, dict) else None
    if not isinstance(mongo, dict):
        what = f"the response has no object mongo{_keys(body)}"
        return failed(what, 'Return {"mongo": {"status": "ok", …}, "cache": {…}}.')
    status = mongo.get("status")
    if status != "ok" or not isinstance(status, str):
        reasons = (mongo.get(key) for key in ("error", "detail", "message", "reason"))
        reason = next((f": {brief(reason)}" for reason in reasons if isinstance(reason, str)), "")
        value = f"is {brief(status)}" if "status" in mongo else "is missing"
        return failed(
            f'mongo.status {value} instead of "ok"{reason}', "Check that the application reaches its MongoDB."
        )
    reported = [*_settings("mongo", mongo, expected), *_settings("cache", body.get("cache"), expected)]
    wrong = [
        f"{key} is {brief(value)} in the application and {brief(expected[name])} here"
        for key, name, value in reported
        if not _is_same(value, expected[name])
    ]
    if wrong:
        return failed("; ".join(wrong), _CONFIGURATION_HINT)
    if not reported:
        what = "mongo.status is ok; no setting of the cache is reported"
        return warned(what, f"The status may report {', '.join(expected)} under mongo or cache.")
    names = ", ".join(dict.fromkeys(key for key, _, _ in reported))
    return passed(f"mongo.status is ok; equal to the configuration: {names}")


def _settings(key: str, section: Any, expected: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """The full key, name and value of each known setting in a section and its nested sections."""
    pending = [(key, section, 1)]
    while pending:
        path, fields, level = pending.pop(0)
        if not isinstance(fields, dict) or level > _DEEPEST_LEVEL:
            continue
        for name, value in fields.items():
            if isinstance(value, dict):
                pending.append((f"{path}.{name}", value, level + 1))
            elif name in expected:
                yield f"{path}.{name}", name, value


def _is_same(reported: Any, configured: Any) -> bool:
    if isinstance(reported, bool) or isinstance(configured, bool):
        return reported is configured
    if isinstance(configured, PurePosixPath):
        return isinstance(reported, str) and _is_same_path(reported, configured)
    if isinstance(configured, int | float):
        return isinstance(reported, int | float) and reported == configured
    return bool(reported == configured)


def _is_same_path(reported: str, configured: PurePosixPath) -> bool:
    """Whether two paths may name one folder: an absolute path must end with the relative one."""
    path = PurePosixPath(reported)
    if path.is_absolute() == configured.is_absolute():
        return path == configured
    longer, shorter = (path, configured) if path.is_absolute() else (configured, path)
    return bool(shorter.parts) and longer.parts[-len(shorter.parts) :] == shorter.parts


def _keys(body: Any) -> str:
    if not isinstance(body, dict):
        return f", but is {brief(body)}"
    return f" (its keys are {', '.join(brief(key) for key in list(body)[:8])})" if body else ", but is empty"
