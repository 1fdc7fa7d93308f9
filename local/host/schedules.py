"""NCRONTAB schedules, `{second} {minute} {hour} {day} {month} {day of week}`, in UTC as Azure runs them."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

FIELDS = (
    ("second", 0, 59),
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day", 1, 31),
    ("month", 1, 12),
    ("day of week", 0, 7),  # 0 and 7 are Sunday
)
MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
NAMES = {
    "month": {name: number for number, name in enumerate(MONTH_NAMES, start=1)},
    "day of week": {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))},
}
ITEM = re.compile(r"^(?:\*|(\w+)(?:-(\w+))?)(?:/(\d+))?$")
LONGEST_GAP = 366 * 8  # days; 29 February may be eight years away


@dataclass(frozen=True)
class Schedule:
    """The moments that match; day and day of week must both match, as in NCRONTAB."""

    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 is Sunday

    @classmethod
    def parse(cls, text: str) -> "Schedule":
        """Read six fields.

        Raises
        ------
        ValueError
            The text is not an NCRONTAB expression, or never matches; the message names the field that is wrong.
        """
        parts = text.split()
        if len(parts) != len(FIELDS):
            raise ValueError(f"{text!r} has {len(parts)} fields; NCRONTAB has six, the first one is seconds")
        values = [_field(part, *field) for part, field in zip(parts, FIELDS, strict=True)]
        values[5] = frozenset(day % 7 for day in values[5])
        schedule = cls(*values)
        schedule.after(datetime(2000, 1, 1, tzinfo=UTC))
        return schedule

    def after(self, moment: datetime) -> datetime:
        """Return the first matching second later than `moment`."""
        start = moment.replace(microsecond=0) + timedelta(seconds=1)
        times = [(h, m, s) for h in sorted(self.hours) for m in sorted(self.minutes) for s in sorted(self.seconds)]
        for _ in range(LONGEST_GAP):
            weekday = start.isoweekday() % 7
            if start.month in self.months and start.day in self.days and weekday in self.weekdays:
                earliest = (start.hour, start.minute, start.second)
                found = next((time for time in times if time >= earliest), None)
                if found is not None:
                    return start.replace(hour=found[0], minute=found[1], second=found[2])
            start = start.replace(hour=0, minute=0, second=0) + timedelta(days=1)
        raise ValueError("the schedule never matches a date")


def _field(text: str, name: str, lowest: int, highest: int) -> frozenset[int]:
    found: set[int] = set()
    for item in text.split(","):
        match = ITEM.match(item)
        if match is None:
            raise ValueError(f"{item!r} is not a value of the field {name!r}")
        first, last, step = match.groups()
        start = lowest if first is None else _number(first, name)
        end = _number(last, name) if last else (start if first is not None and step is None else highest)
        if not lowest <= start <= end <= highest or step == "0":
            raise ValueError(f"{item!r} is out of range for the field {name!r} ({lowest} to {highest})")
        found.update(range(start, end + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, name: str) -> int:
    names = NAMES.get(name, {})
    if text.lower()[:3] in names:
        return names[text.lower()[:3]]
    if not text.isdigit():
        raise ValueError(f"{text!r} is not a value of the field {name!r}")
    return int(text)
