"""Intervals: the datetime parameter of a search, an instant, a day or two of them. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from schema.words import clip

DATETIME_HELP = 'An instant, a day, or an interval: "2024-05-01T00:00:00Z", "2024-05-01", "2024-05-01/..".'
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:]{8}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})")
_OPEN = ("", "..")


def interval_of(text: str) -> tuple[str, str]:
    """Give both ends, inclusive, as PostgreSQL reads them. Raises ValueError, which says what is wrong."""
    first, slash, last = text.partition("/")
    if slash and first in _OPEN and last in _OPEN:
        raise ValueError("is open at both ends; leave it out instead")
    earliest = None if slash and first in _OPEN else _moments(first)[0]
    latest = None if slash and last in _OPEN else _moments(last if slash else first)[1]
    if earliest and latest and latest < earliest:
        raise ValueError("ends before it begins")
    return earliest.isoformat() if earliest else "-infinity", latest.isoformat() if latest else "infinity"


def _moments(text: str) -> tuple[datetime, datetime]:
    """Read an instant, or a day as its first and last microsecond, in UTC."""
    try:
        if _DAY.fullmatch(text):
            day = datetime.fromisoformat(text).replace(tzinfo=UTC)
            return day, day + timedelta(days=1, microseconds=-1)
        if _INSTANT.fullmatch(text):
            at = datetime.fromisoformat(text.upper()).astimezone(UTC)
            return at, at
    except (ValueError, OverflowError) as exc:
        raise ValueError(f"holds {text}, which no calendar has") from exc
    raise ValueError(f"holds {clip(text)!r}, which is no day and no RFC 3339 time. {DATETIME_HELP}")
