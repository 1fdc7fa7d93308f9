"""How numbers and dates are written in columns of text, in various countries and by various programs.

Pure. A number is one only if it comes back as it was written, but for what programs add without meaning anything by it:
1.0 for 1, 2e-07 for 2e-7, 1.50 where every value has two decimals. 12E4, 00501, +49, 7. and 1.10 beside 1.2 are codes.
"""

from __future__ import annotations

import math
import re
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Places: TypeAlias = npt.NDArray[np.int64]

# Leading zeros make a code, such as a postal one, and not a number: they would be lost.
# So would the sign of -0, which a double has.
_CODE = r"^[-+]?0[0-9xX]|^-0$"
_DIGITS = np.frombuffer(b"0123456789", np.uint8)
_LONG_DIGITS = 16
# More digits than a double has; bigint may hold them.
_LONG = r"^[-+]?[0-9]{16,}$"
_DOUBLE_DIGITS = 17
# Exponents as programs write them: with a point in the mantissa, two digits (C, Python, R, Excel) or -7 to -9
# (JavaScript). What has none of these (12E4, 4E-2) is the number of a flat or a product.
_EXPONENT = r"^-?[0-9]\.[0-9]+[eE][-+]?[0-9]+$|^-?[0-9][eE]([-+][0-9]{2,}|-[7-9])$|^[^eE]*$"
_ZERO = re.compile(r"^-?[0.]*(e|$)", re.IGNORECASE)

_SPACES = (" ", "\u00a0", "\u202f", "'", "\u2019")
"""Between thousands in France, Poland, Sweden, Switzerland and elsewhere."""


def _grouped(groups: tuple[str, ...], decimal: str) -> str:
    wholes = [rf"[1-9][0-9]{{0,2}}({re.escape(group)}[0-9]{{3}})+" for group in groups]
    return rf"^-?({'|'.join(wholes)}|[0-9]+)({re.escape(decimal)}[0-9]+)?$"


_TIME = r"(,? [0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)"
_YMD = r"^[0-9]{4}(/[0-9]{1,2}/|\.[0-9]{1,2}\.)[0-9]{1,2}"
_SLASHED = r"^[0-9]{1,2}(/[0-9]{1,2}/|-[0-9]{1,2}-)[0-9]{4}"
_DOTTED = r"^[0-9]{1,2}(\.[0-9]{1,2}\.|/[0-9]{1,2}/|-[0-9]{1,2}-)[0-9]{4}"
_PATTERNS = {
    "decimal_comma": r"^[-+]?[0-9]+(,[0-9]+)?$",
    "grouped_comma": _grouped((".", *_SPACES), ","),
    "grouped_point": _grouped((",", *_SPACES), "."),
    # With points between, the day comes first in every country.
    "date_ymd": f"{_YMD}$", "date_either": f"{_SLASHED}$", "date_dmy": f"{_DOTTED}$", "date_mdy": f"{_SLASHED}$",
    "timestamp_ymd": f"{_YMD}{_TIME}?$", "timestamp_either": f"{_SLASHED}{_TIME}?$",
    "timestamp_dmy": f"{_DOTTED}{_TIME}?$", "timestamp_mdy": f"{_SLASHED}{_TIME}?$",
    "timestamptz_ymd": f"{_YMD}{_TIME}(Z|[-+][0-9]{{2}}(:?[0-9]{{2}})?)$",
}  # fmt: skip
"""What values of a type look like that are not written as Arrow reads them."""
_DATE_PARTS = r"^([0-9]{1,4})[-./]([0-9]{1,2})[-./]([0-9]{1,4})"
_ISO = {"ymd": r"\1-\2-\3", "dmy": r"\3-\2-\1", "mdy": r"\3-\1-\2"}


def matches(trimmed: pa.Array, kind: str) -> bool:
    """Whether all values look like those of a type that is not written as Arrow reads it."""
    return pc.all(pc.match_substring_regex(trimmed, _PATTERNS[kind])).as_py() is not False


def to_plain(trimmed: pa.Array, kind: str) -> pa.Array:
    """Return values of a type as Arrow reads them: 1234.5 for 1.234,5, and 2023-12-31 for 31.12.2023."""
    if kind == "boolean":
        return pc.utf8_lower(trimmed)
    if kind == "decimal_comma":
        return pc.replace_substring(trimmed, ",", ".")
    if kind == "grouped_comma":
        return pc.replace_substring(pc.replace_substring_regex(trimmed, "[^-0-9,]", ""), ",", ".")
    if kind == "grouped_point":
        return pc.replace_substring_regex(trimmed, "[^-0-9.]", "")
    order = kind.rpartition("_")[2]
    return _to_iso(trimmed, order) if order in _ISO else trimmed


def _to_iso(trimmed: pa.Array, order: str) -> pa.Array:
    iso = pc.replace_substring_regex(trimmed, _DATE_PARTS, _ISO[order])
    # Arrow takes two digits of month, day and hour, and no less.
    if pc.any(pc.match_substring_regex(iso, r"-[0-9](-|$|[ ,])|,| [0-9]:")).as_py():
        for one_digit, two in ((r"-([0-9])-", r"-0\1-"), (r"-([0-9])($|[ ,])", r"-0\1\2"), (r",? ([0-9]):", r" 0\1:")):
            iso = pc.replace_substring_regex(iso, one_digit, two)
        iso = pc.replace_substring(iso, ",", "")
    return iso


def is_plain_integer(trimmed: pa.Array) -> bool:
    """Whether values that Arrow reads as integers come back as they are written: without zeros before, and not -0."""
    # Few numbers begin with a zero at all, so the pattern is seldom needed.
    zeros = (pc.any(pc.starts_with(trimmed, sign + "0")).as_py() for sign in ("", "-", "+"))
    return not any(zeros) or not pc.any(pc.match_substring_regex(trimmed, _CODE)).as_py()


def is_plain_double(trimmed: pa.Array, read: pa.Array) -> bool:
    """Whether values that Arrow reads as doubles are numbers that come back as they are written, each by itself.

    Parameters
    ----------
    trimmed
        Strings with a decimal point, shape (n,).
    read
        The doubles that Arrow makes of them, shape (n,).
    """
    # The cast reads "inf" and 1e999, which no source means.
    if pc.all(pc.is_finite(read)).as_py() is False:
        return False
    data, starts, ends = _bytes_of(trimmed)
    if not len(ends):
        return True
    # Looks at whole arrays of bytes: a pattern takes longer for a value than its cast.
    if (data[starts] == ord("+")).any() or (data[ends - 1] == ord(".")).any():
        return False
    begins = starts + (data[starts] == ord("-"))
    zero_first = data[begins] == ord("0")
    if zero_first.any() and np.isin(data[begins[zero_first & (begins + 1 < ends)] + 1], _DIGITS).any():
        return False
    # As many points as values: none of them is whole.
    if np.count_nonzero(data == ord(".")) < len(ends) and has_long(trimmed):
        return False
    raw = data.tobytes()
    if (b"e" in raw or b"E" in raw) and not _has_exponents_of_programs(trimmed, read):
        return False
    # The point is no digit, and neither is a zero before it.
    return _has_digits_of_doubles(raw, starts, ends, ends - begins - zero_first - 1)


def _has_exponents_of_programs(trimmed: pa.Array, read: pa.Array) -> bool:
    if pc.all(pc.match_substring_regex(trimmed, _EXPONENT)).as_py() is False:
        return False
    # 1e-400 is too small for a double, and would become 0.
    zeros = trimmed.filter(pc.equal(read, 0)).drop_null().unique().to_pylist()
    return all(_ZERO.match(text) for text in zeros)


def _has_digits_of_doubles(raw: bytes, starts: Places, ends: Places, digits: Places) -> bool:
    """Whether doubles hold the digits of all values, which have at most `digits`.

    17 digits tell every double from its neighbours; more of them are noise, if they are those of the double.
    """
    for row in np.flatnonzero(digits > _DOUBLE_DIGITS).tolist():
        text = raw[starts[row] : ends[row]].decode()
        mantissa = re.split("[eE]", text)[0]
        significant = len(mantissa.lstrip("-0.").replace(".", ""))
        decimals = len(mantissa.partition(".")[2])
        if significant > _DOUBLE_DIGITS and (mantissa != text or f"{float(text):.{decimals}f}" != text):
            return False
    return True


def has_long(trimmed: pa.Array) -> bool:
    """Whether a whole number has more digits than a double holds."""
    longest = pc.max(pc.binary_length(trimmed)).as_py() or 0
    return longest >= _LONG_DIGITS and bool(pc.any(pc.match_substring_regex(trimmed, _LONG)).as_py())


class NumberStyle:
    """How the decimals of a column are written, over all of its batches."""

    def __init__(self) -> None:
        self._fewest, self._most = 2**31, 0
        self._zero_at_end: tuple[int, str] | None = None
        """1-based row and value of the first like 1.50."""
        self.only_thousands = True
        """Every decimal sign stands where one between thousands would: before the last three digits."""

    def add_whole(self) -> None:
        """Count a batch of numbers without decimals."""
        self._fewest = 0

    def add(self, values: pa.Array, sign: str, first_row: int) -> None:
        """Count a batch of numbers.

        Parameters
        ----------
        values
            Strings, shape (n,); each null or a number with at most one decimal sign.
        sign
            "." or ",".
        first_row
            1-based row of the first value.
        """
        data, starts, ends = _bytes_of(values)
        if b"e" in (raw := data.tobytes()) or b"E" in raw:
            data, starts, ends = _bytes_of(pc.replace_substring_regex(values, "[eE].*", ""))
        if not len(ends):
            return
        # Whole arrays of bytes, because a pattern for each value would take longer than to read it as a number.
        signs = np.flatnonzero(data == ord(sign))
        owners = slice(None) if len(signs) == len(ends) else np.searchsorted(starts, signs, side="right") - 1
        decimals = np.zeros(len(ends), np.int64)
        decimals[owners] = ends[owners] - 1 - signs
        self._fewest, self._most = min(self._fewest, int(decimals.min())), max(self._most, int(decimals.max()))
        self.only_thousands &= _only_thousands(data, starts[owners], signs, decimals[owners])
        # 1.0 is how many programs write 1.
        zeros = (data[ends - 1] == ord("0")) & (decimals > 1)
        if self._zero_at_end is None and zeros.any():
            place = int(np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))[zeros][0])
            self._zero_at_end = (first_row + place, values[place].as_py())

    @property
    def has_decimals(self) -> bool:
        """Whether any value has decimals."""
        return self._most > 0

    @property
    def lost_zeros(self) -> tuple[int, str] | None:
        """1-based row and value of the first number whose zeros at its end would not come back, if there is one.

        They do where all values have as many decimals (1.50 and 2.25).
        """
        return self._zero_at_end if self._fewest < self._most else None


def _only_thousands(
    data: npt.NDArray[np.uint8],
    starts: Places,
    signs: Places,
    decimals: Places,
) -> bool:
    if not len(signs) or not (decimals == 3).all():
        return not len(signs)
    begins = starts + (data[starts] == ord("-"))
    before = signs - begins
    return bool(((before >= 1) & (before <= 3) & (data[begins] != ord("0"))).all())


def _bytes_of(
    values: pa.Array,
) -> tuple[npt.NDArray[np.uint8], Places, Places]:
    """Return the bytes of all values that are not null, and where each begins and ends in them."""
    known = values.drop_null() if values.null_count else values
    _, offsets, data = known.buffers()
    if not len(known) or data is None:
        return np.zeros(0, np.uint8), np.zeros(0, np.int64), np.zeros(0, np.int64)
    bounds = np.frombuffer(offsets, np.int32)[known.offset : known.offset + len(known) + 1].astype(np.int64)
    return np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]], bounds[:-1] - bounds[0], bounds[1:] - bounds[0]


def lost(row: int, value: str) -> str | None:
    """Return what a value would become as a number, in a sentence with its 1-based row; None where nothing is lost."""
    text = value.strip()
    try:
        number = float(text)
    except ValueError:
        return None
    shown = str(int(text)) if re.fullmatch(r"[-+]?[0-9]+", text) else f"{number:.17g}"
    if float(f"{number:.15g}") == number and not shown.isdigit():
        shown = f"{number:.15g}"
    return None if shown == text or not math.isfinite(number) else f"row {row}: {value!r} would become {shown}"
