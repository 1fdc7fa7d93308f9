"""NCRONTAB: which moments match, and what is refused."""

from datetime import UTC, datetime

import pytest

from local.host.schedules import Schedule

START = datetime(2026, 2, 27, 22, 59, 30, tzinfo=UTC)  # a Friday


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("* * * * * *", datetime(2026, 2, 27, 22, 59, 31, tzinfo=UTC)),
        ("*/30 * * * * *", datetime(2026, 2, 27, 23, 0, 0, tzinfo=UTC)),
        ("0 0 0 * * *", datetime(2026, 2, 28, tzinfo=UTC)),
        ("0 30 4 * * MON-WED", datetime(2026, 3, 2, 4, 30, tzinfo=UTC)),
        ("0 0 12 29 2 *", datetime(2028, 2, 29, 12, tzinfo=UTC)),
        ("0 0 12 * JAN,jul 7", datetime(2026, 7, 5, 12, tzinfo=UTC)),
        ("15,45 59 22-23 * * 5", datetime(2026, 2, 27, 22, 59, 45, tzinfo=UTC)),
        ("10/20 0 0 * * *", datetime(2026, 2, 28, 0, 0, 10, tzinfo=UTC)),
    ],
)
def test_the_next_moment_is_the_first_that_matches_all_fields(text: str, expected: datetime) -> None:
    assert Schedule.parse(text).after(START) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("*/5 * * * *", "six"),
        ("60 * * * * *", "'second' .0 to 59"),
        ("* * 5-3 * * *", "hour"),
        ("* * * * * FRIDAY?", "day of week"),
        ("*/0 * * * * *", "second"),
        ("0 0 0 31 2 *", "never matches"),
        ("00:00:30", "six"),
    ],
)
def test_a_wrong_expression_is_refused_naming_its_field(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Schedule.parse(text)
