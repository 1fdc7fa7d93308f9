"""Datetimes of items: when a file's data were acquired, by its metadata, its name or its blob, and which. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

Origin = Literal["metadata", "file_name", "blob", "job"]
TAGS = (
    "ACQUISITIONDATETIME", "ACQUISITION_DATE", "ACQUISITIONDATE", "DATETIME", "DATE_ACQUIRED", "SENSING_TIME",
    "PRODUCT_START_TIME", "START_TIME", "TIFFTAG_DATETIME",
)  # fmt: skip
"""In this order: TIFF's own tag comes last, because converters set it to the time of the conversion."""
# Years of two centuries only, the same separator twice, and no digit on either side: other runs of digits are no dates.
_IN_NAME = re.compile(
    r"(?<!\d)(?P<y>(?:19|20)\d\d)(?P<s>[-_.]?)(?P<m>0[1-9]|1[0-2])(?P=s)(?P<d>0[1-9]|[12]\d|3[01])"
    r"(?:[T_-]?(?P<H>[01]\d|2[0-3])[-:]?(?P<M>[0-5]\d)(?:[-:]?(?P<S>[0-5]\d))?(?=\D|$))?(?!\d)"
)
_TIFF = re.compile(r"^(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)")


@dataclass(frozen=True)
class ItemDatetime:
    """The datetime of an item, and where it was found."""

    at: datetime
    """UTC."""
    origin: Origin


def datetime_of(tags: Mapping[str, str], blob: str, last_modified: str | None, now: datetime) -> ItemDatetime:
    """Return the datetime of a file: of its metadata, else its name, else its blob, else `now`.

    `tags` are GDAL's metadata items of the dataset; `last_modified` is the blob's, ISO 8601.
    """
    for name in TAGS:
        text = tags.get(name) or tags.get(name.lower())
        if text and (found := parse(text)):
            return ItemDatetime(found, "metadata")
    named = _in_name(blob)
    if named:
        return ItemDatetime(named, "file_name")
    modified = parse(last_modified) if last_modified else None
    return ItemDatetime(modified, "blob") if modified else ItemDatetime(now, "job")


def parse(text: str) -> datetime | None:
    """Parse a time as TIFF or ISO 8601 write it, without an offset as UTC. None for anything else."""
    match = _TIFF.match(text.strip())
    try:
        at = _time(match.groups()) if match else None
        at = at or datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def _time(parts: Iterable[str]) -> datetime:
    year, month, day, hour, minute, second = (int(part) for part in parts)
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


def _in_name(blob: str) -> datetime | None:
    # The file's own name tells more than the folders above it.
    for part in reversed(blob.split("/")):
        for match in _IN_NAME.finditer(part):
            parts = match.groupdict(default="0")
            try:
                return _time(parts[key] for key in "ymdHMS")
            except ValueError:
                continue
    return None
