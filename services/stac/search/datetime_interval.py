"""Intervals: the datetime parameter of a search, an instant, a day or two of them. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from schema.clipping import clip

DATETIME_HELP = 'An instant, a day, or an interval: "2024-05-01T00:00:00Z", "2024-05-01", "2024-05-01/..".'
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:]{8}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})")
_OPEN = ("", "..")


def interval_of(text: str) -> tuple[str, str]:
    """Return both ends, inclusive, as PostgreSQL reads them.

    Raises ValueError, whose message follows the name of the parameter.
    """
    first, slash, last = text.partition("/")
    if slash and first in _OPEN and last in _OPEN:
        raise ValueError("is open at both ends; leave it out instead")
    earliest = None if slash and first in _OPEN else _ends(first)[0]
    latest = None if slash and last in _OPEN else _ends(last if slash else first)[1]
    if earliest and latest and latest < earliest:
        raise ValueError("ends before it begins")
    return earliest.isoformat() if earliest else "-infinity", latest.isoformat() if latest else "infinity"


def _ends(text: str) -> tuple[datetime, datetime]:
    """Return an instant twice, or a day's first and last microsecond, in UTC."""
    try:
        if _DAY.fullmatch(text):
            day = datetime.fromisoformat(text).replace(tzinfo=UTC)
            return day, day + timedelta(days=1, microseconds=-1)
        if _INSTANT.fullmatch(text):
            at = datetime.fromisoformat(text.upper()).astimezone(UTC)
            return at, at
    except (ValueError, OverflowError) as exc:
        raise ValueError(f"holds {text}, which is not a date of the calendar") from exc
    raise ValueError(f"holds {clip(text)!r}, which is neither a day nor a time as RFC 3339 writes it. {DATETIME_HELP}")
