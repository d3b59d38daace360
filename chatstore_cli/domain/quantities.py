"""Numbers and lists of things in texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def quantity(number: int, noun: str) -> str:
    """A number with its noun: 1 line, 2,000 lines."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def alternatives(names: Sequence[str]) -> str:
    """Names as a choice: `a`, `a or b`, `a, b or c`."""
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def documents_in_words(numbers: Iterable[tuple[str, int]]) -> str:
    """Numbers of documents by collection, such as `2 documents of a, 1 document of b and 3 documents of c`."""
    texts = [f"{quantity(number, 'document')} of {collection}" for collection, number in numbers if number]
    return " and ".join([", ".join(texts[:-1]), texts[-1]]) if len(texts) > 1 else "".join(texts) or "no documents"
