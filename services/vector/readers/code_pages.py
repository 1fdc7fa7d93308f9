"""Which code page of Windows a text is in that is not UTF-8: programs such as Excel write that of the country.

A guess by the letters. Western Europe's Windows-1252 is taken unless they make no words in it: signs within words, all
letters beyond ASCII, or letters that no western language has side by side. (charset-normalizer 3.5, which goes by
frequencies, reads 19 of the 25 short lists of names in this module's tests: it takes French and Portuguese for Polish.)
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

WESTERN, CENTRAL, CYRILLIC, GREEK, TURKISH = "cp1252", "cp1250", "cp1251", "cp1253", "cp1254"

_SAMPLE_BYTES = 8 * 2**20
_WORDS = re.compile(rb"[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z\x80-\xff]*")
# Polish and Slovak letters that are signs in Windows-1252, between letters: m³ and ¿Qué have them at the ends.
_SIGN_IN_WORD = re.compile(
    rb"[A-Za-z\x8a-\xff][\xa5\xaa\xaf\xb3\xb9\xba\xbc\xbe\xbf\x8f\x9d\x9f]+[a-z]|^[\xa3\xaf\xb3\xbc\x8f][a-z\xc0-\xff]{2}"
)
_FOREIGN = re.compile(rb"[\xa1-\xff]{3,}")
# The three most frequent vowels of Russian and Bulgarian, and of Greek; no letter of one stands where the other's do.
_CYRILLIC_VOWELS, _GREEK_VOWELS = frozenset(b"\xe0\xee\xe8\xc0\xce\xc8"), frozenset(b"\xe1\xef\xe9\xc1\xcf\xc9")


def guess_code_page(path: Path) -> str:
    """Return the code page of a text by its first 8 MB."""
    with path.open("rb") as file:
        words = Counter(_WORDS.findall(file.read(_SAMPLE_BYTES)))
    long = {word for word in words if len(word) > 2}
    foreign = {word for word in long if _FOREIGN.fullmatch(word)}
    if len(foreign) * 2 > len(long):
        letters = Counter(b"".join(foreign))
        cyrillic, greek = (sum(letters[byte] for byte in vowels) for vowels in (_CYRILLIC_VOWELS, _GREEK_VOWELS))
        return CYRILLIC if cyrillic >= greek else GREEK
    signs = sum(bool(_SIGN_IN_WORD.search(word)) for word in words)
    # One word may have a slip of the keyboard.
    if signs * 50 > len(words):
        return CENTRAL
    letters_of_words = b"".join(words).decode(WESTERN, "ignore").lower()
    return _by_neighbors(frozenset(letters_of_words) - frozenset("abcdefghijklmnopqrstuvwxyz"))


def _by_neighbors(letters: frozenset[str]) -> str:
    """Choose by letters that no language of western Europe has beside each other."""

    def has(*some: str) -> bool:
        return all(letters & frozenset(one) for one in some)

    # ř as ø, with ě as ì, ů as ù or č as è: Danish and Norwegian, which have ø, have å too.
    is_czech = has("ø", "ìùè") and not has("åæ")
    # ő and ű as õ and û: Estonian has no accents, French one of them, and Portuguese ã and ç.
    is_hungarian = has("õû", "áíóú") and len(letters & frozenset("áéíóú")) > 1 and not has("ãçàèêä")
    # č and ć as è and æ beside š and ž; or ľ and ť, which no word of the west has.
    is_south_slavic = has("èæ", "šž") and not has("çàêëøå")
    # ă and ţ.
    is_romanian = has("ã", "þ")
    if is_czech or is_hungarian or is_south_slavic or is_romanian:
        return CENTRAL
    # ş, ğ and ı as þ, ð and ý: Icelandic, which has them, has á and no ç.
    return TURKISH if len(letters & frozenset("þðý")) > 1 and has("çü") and not has("áæ") else WESTERN
