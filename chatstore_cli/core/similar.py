"""Names similar to a mistyped one, for "Did you mean ...?" in errors."""

from __future__ import annotations

import re
from collections.abc import Iterable

_WRAPPED = re.compile(r"""(?:ObjectId|UUID|ISODate|NumberLong)\(\s*['"]?(?P<inner>[^'"()]*)['"]?\s*\)""")
_AROUND = " \t\r\n\u00a0\u200b\ufeff'\"`\u2018\u2019\u201c\u201d<>[](),;"
_MOST = 3
QUESTION = "Did you mean "


def did_you_mean(name: str, known: Iterable[str], *, most: int = _MOST) -> str | None:
    """`Did you mean 'acme'?`, or None if no known name is similar."""
    return suggestion(similar_names(name, known, most=most))


def suggestion(names: list[str]) -> str | None:
    """`Did you mean 'a' or 'b'?`, or None without names."""
    from chatstore_cli.domain.quantities import alternatives

    return f"{QUESTION}{alternatives([repr(each) for each in names])}?" if names else None


def spellings(text: str) -> list[str]:
    """Other ways to write a copied id: without what is around it, and in lower and upper case."""
    bare = text.strip(_AROUND)
    if (wrapped := _WRAPPED.fullmatch(text.strip()) or _WRAPPED.search(text)) is not None:
        bare = wrapped["inner"].strip(_AROUND)
    found = dict.fromkeys(each for each in (bare, bare.lower(), bare.upper()) if each and each != text)
    return list(found)


def similar_names(name: str, known: Iterable[str], *, most: int = _MOST) -> list[str]:
    """At most `most` known names like this one: those in another case, then those that begin with it, then close ones."""
    from difflib import get_close_matches

    candidates = dict.fromkeys(each for each in known if each != name)
    typed = name.strip(_AROUND).casefold()
    if not typed:
        return []
    folded: dict[str, list[str]] = {}
    for each in candidates:
        folded.setdefault(each.casefold(), []).append(each)
    same = folded.get(typed, [])
    begin = [each for each in candidates if each.casefold().startswith(typed)]
    close = [each for match in get_close_matches(typed, folded, n=most, cutoff=0.75) for each in folded[match]]
    return list(dict.fromkeys([*same, *begin, *close]))[:most]
