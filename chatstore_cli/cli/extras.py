"""Which of the optional packages are installed. They are looked for, and not imported."""

from __future__ import annotations

import importlib.util

from chatstore_cli.domain.errors import WrongUse

_OF_SERVER = ("fastapi", "uvicorn", "websockets", "prometheus_client", "httpx2", "jinja2", "markdown_it")
_OF_API = ("httpx", "websockets")


def require_server_extra() -> None:
    """Raise WrongUse if a package of the extra `server` is missing."""
    missing = _missing(_OF_SERVER)
    if missing:
        what = f"The server needs packages that are not installed: {', '.join(missing)}."
        raise WrongUse(what=what, hint="Install the extra: pip install 'chatstore-cli[server]'")


def require_server_and_api_extras() -> None:
    """Raise WrongUse if a package is missing that `chatstore verify --spawn` needs."""
    missing = _missing(tuple(dict.fromkeys((*_OF_SERVER, *_OF_API))))
    if missing:
        what = f"--spawn needs packages that are not installed: {', '.join(missing)}."
        raise WrongUse(what=what, hint="Install the extras: pip install 'chatstore-cli[server,api]'")


def can_check_server() -> bool:
    """Whether `chatstore verify --spawn` can run: it needs the extras `server` and `api`."""
    return not _missing((*_OF_SERVER, *_OF_API))


def _missing(packages: tuple[str, ...]) -> list[str]:
    return [name for name in packages if importlib.util.find_spec(name) is None]
