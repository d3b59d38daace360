"""A small filter that tells which words a text certainly does not have: a Bloom filter.

Each word sets a few bits, which a hash of the word chooses. If all bits of a word are set, the text probably has the word. It
takes two bytes for each word, needs no index, and nobody can read the words in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

SIZES = tuple(1 << power for power in range(10, 21))
"""The sizes of filters in bits. The largest one, of 128 KiB, suits 65,000 words; with more words it excludes less."""
_BITS_OF_A_WORD = 5
_BITS_FOR_EACH_WORD = 16
"""With so many, one text in 700 seems to have a word that it does not have."""


def word_filter(words: Iterable[str]) -> tuple[int, bytes]:
    """The size of the filter of these words, and the filter. Bit n is in byte n // 8, from its lowest bit."""
    distinct = set(words)
    size = next((each for each in SIZES if each >= len(distinct) * _BITS_FOR_EACH_WORD), SIZES[-1])
    filled = bytearray(size // 8)
    for word in distinct:
        for bit in bits_of(word, size):
            filled[bit >> 3] |= 1 << (bit & 7)
    return size, bytes(filled)


def bits_of(word: str, size: int) -> list[int]:
    """The bits that a word sets in a filter of this size."""
    digest = blake2b(word.encode(errors="replace"), digest_size=16).digest()
    first, step = int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little") | 1
    return [(first + number * step) % size for number in range(_BITS_OF_A_WORD)]
