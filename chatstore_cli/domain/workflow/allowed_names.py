"""Names and ids that the APIs of models accept, made from any stored text. Different texts remain different."""

from __future__ import annotations

import hashlib
import re

MAX_NAME_LENGTH = 64
MAX_CALL_ID_LENGTH = 40
"""OpenAI's limit for the id of a tool call."""

_NOT_ALLOWED = re.compile(r"[^a-zA-Z0-9_-]")
_DIGEST_LENGTH = 12


class AllowedNames:
    """Maps stored names to allowed ones, always the same for the same name."""

    def __init__(self) -> None:
        self._allowed: dict[str, str] = {}
        self._unused = _Unused(MAX_NAME_LENGTH)

    def of(self, name: str) -> str:
        """The name if it is allowed, or a similar one that no other name has."""
        if name not in self._allowed:
            self._allowed[name] = self._unused.like(_NOT_ALLOWED.sub("_", name)[:MAX_NAME_LENGTH])
        return self._allowed[name]


class CallIds:
    """Gives each tool call of a history an id of its own."""

    def __init__(self) -> None:
        self._unused = _Unused(MAX_CALL_ID_LENGTH)
        self._number = 0

    def of(self, stored_id: str | None) -> str:
        """The stored id if it is allowed and no earlier call has it, or another one."""
        if stored_id is None:
            self._number += 1
            return self._unused.like(f"call_{self._number}")
        candidate = _NOT_ALLOWED.sub("_", stored_id)
        if candidate != stored_id or len(candidate) > MAX_CALL_ID_LENGTH:
            # With the digest, a part of a history gives a call the same id as the whole history.
            digest = hashlib.sha256(stored_id.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
            candidate = f"{candidate[: MAX_CALL_ID_LENGTH - 1 - _DIGEST_LENGTH]}_{digest}"
        return self._unused.like(candidate)


class _Unused:
    """Texts that were not given before, at most `length` characters long."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._numbers: dict[str, int] = {}

    def like(self, candidate: str) -> str:
        """The candidate, or if it was given before, the candidate with the next number."""
        text = candidate
        while text in self._numbers:
            number = self._numbers[candidate] = self._numbers.get(candidate, 1) + 1
            text = f"{candidate[: self._length - 1 - len(str(number))]}_{number}"
        self._numbers[text] = 1
        return text
