"""Searches as pure functions: cursors, intervals, areas on the globe, pages."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pyproj import Geod

from services.stac.search import areas, cursors
from services.stac.search.datetime_interval import interval_of
from services.stac.search.filters import filters_of, place_kinds, search_of
from services.stac.search.pages import MAX_PAGE_BYTES, fill

TIME = "2024-05-01 12:00:00.5+00"
PLACE = (TIME, "bronze", "dem-v1")
KINDS = ("time", "id", "id")
SEARCH = {"collection_id": "bronze", "bbox": [0, 1.5, 2, 3]}
EARTH = Geod(ellps="WGS84")
longitudes = st.floats(-180, 180)
latitudes = st.floats(-90, 90)


def forged(*parts: Any) -> str:
    """A cursor made by hand."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def test_a_cursor_gives_its_place_back() -> None:
    assert cursors.decode(SEARCH, cursors.encode(SEARCH, PLACE), KINDS) == PLACE
    near = (12.75, "bronze", "dem'; --")
    assert cursors.decode({}, cursors.encode({}, near), ("distance", "id", "id")) == near


def test_a_search_is_the_same_however_its_numbers_are_written() -> None:
    cursor = cursors.encode(SEARCH, PLACE)
    assert cursors.decode({**SEARCH, "bbox": [0.0, 1.5, 2.0, 3.0]}, cursor, KINDS) == PLACE


@given(st.integers(0, 200), st.characters(codec="ascii"))
def test_a_cursor_with_another_character_is_refused(at: int, letter: str) -> None:
    cursor = cursors.encode(SEARCH, PLACE)
    changed = cursor[: at % len(cursor)] + letter + cursor[at % len(cursor) + 1 :]
    assume(changed != cursor)
    with pytest.raises(cursors.CursorError):
        cursors.decode(SEARCH, changed, KINDS)


@pytest.mark.parametrize(
    ("search", "kinds"),
    [({}, KINDS), ({**SEARCH, "datetime": "2024"}, KINDS), (SEARCH, ("id",)), (SEARCH, ("distance", "id", "id"))],
)
def test_a_cursor_of_another_search_is_refused(search: dict[str, Any], kinds: tuple[str, ...]) -> None:
    with pytest.raises(cursors.CursorError):
        cursors.decode(search, cursors.encode(SEARCH, PLACE), kinds)


@pytest.mark.parametrize(
    "parts",
    [
        ("digest", "now(); DROP TABLE x", "a", "b"),
        ("digest", TIME, 5, "b"),
        ("digest", TIME, "a\0", "b"),
        ("digest", TIME, "a" * 3000, "b"),
        ("digest", None, "a", "b"),
        ("digest", TIME, "a"),
        ("digest", TIME, "a", "b"),
    ],
)
def test_a_forged_cursor_is_refused(parts: tuple[Any, ...]) -> None:
    with pytest.raises(cursors.CursorError):
        cursors.decode(SEARCH, forged(*parts), KINDS)


@pytest.mark.parametrize("text", ["", "*", "bm8", "W10", "[" * 5000, "a" * 20_000, forged("x", "y"), "e30", "MQ"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(cursors.CursorError):
        cursors.decode({}, text, KINDS)


def test_distances_that_are_no_numbers_are_no_places() -> None:
    for distance in (math.inf, math.nan, -1.0, True, "1"):
        with pytest.raises(cursors.CursorError):
            cursors.decode({}, cursors.encode({}, (distance, "a", "b")), ("distance", "id", "id"))


@pytest.mark.parametrize(
    ("text", "earliest", "latest"),
    [
        ("2024-05-01T12:00:00Z", "2024-05-01T12:00:00+00:00", "2024-05-01T12:00:00+00:00"),
        ("2024-05-01t12:00:00.25+02:00", "2024-05-01T10:00:00.250000+00:00", "2024-05-01T10:00:00.250000+00:00"),
        ("2024-05-01", "2024-05-01T00:00:00+00:00", "2024-05-01T23:59:59.999999+00:00"),
        ("2024-02-29/2024-03-01", "2024-02-29T00:00:00+00:00", "2024-03-01T23:59:59.999999+00:00"),
        ("2024-05-01/..", "2024-05-01T00:00:00+00:00", "infinity"),
        ("/2024-05-01T00:00:00Z", "-infinity", "2024-05-01T00:00:00+00:00"),
        ("9999-12-31", "9999-12-31T00:00:00+00:00", "9999-12-31T23:59:59.999999+00:00"),
    ],
)
def test_intervals_have_both_ends(text: str, earliest: str, latest: str) -> None:
    assert interval_of(text) == (earliest, latest)


@pytest.mark.parametrize(
    "text",
    [
        *("", "/", "../..", "now", "2024", "2024-13-01", "2023-02-29", "2024-05-01T25:00:00Z", "2024-05-01T12:00:00"),
        *("2024-05-02/2024-05-01", "2024-05-01/2024-05-02/2024-05-03", "'; --", "0000-01-01", "٢٠٢٤-٠٥-٠١"),
        "0001-01-01T00:00:00+14:00",
    ],
)
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        interval_of(text)


@pytest.mark.parametrize(
    ("bbox", "boxes"),
    [
        ([1, 2, 3, 4], [(1, 2, 3, 4)]),
        ([1, 2, 0, 3, 4, 9], [(1, 2, 3, 4)]),
        ([170, -10, -170, 10], [(170, -10, 180.0, 10), (-180.0, -10, -170, 10)]),
        ([-180, -90, 180, 90], [(-180, -90, 180, 90)]),
    ],
)
def test_a_bbox_is_cut_at_the_antimeridian(bbox: list[float], boxes: list[areas.Box]) -> None:
    assert areas.boxes_of(bbox) == boxes


@pytest.mark.parametrize(
    ("box", "kind"),
    [((0, 0, 1, 1), "Polygon"), ((0, 0, 0, 1), "LineString"), ((0, 0, 1, 0), "LineString"), ((0, 0, 0, 0), "Point")],
)
def test_a_box_without_an_inside_is_a_line_or_a_point(box: areas.Box, kind: str) -> None:
    assert areas.geojson_of([box])["type"] == kind


@given(longitudes, latitudes, st.floats(0.1, areas.HALF_WAY_ROUND), st.floats(0, 360), st.floats(0, 1))
def test_boxes_around_a_point_hold_all_that_is_near(x: float, y: float, metres: float, way: float, part: float) -> None:
    there_x, there_y, _ = EARTH.fwd(x, y, way, metres * part)
    boxes = areas.boxes_around(x, y, metres)
    near = 1e-9
    assert any(
        south - near <= there_y <= north + near
        and any(west - near <= there_x + turn <= east + near for turn in (-360, 0, 360))
        for west, south, east, north in boxes
    )
    assert all(-180 <= west <= east <= 180 and -90 <= south <= north <= 90 for west, south, east, north in boxes)


def test_a_search_is_told_apart_by_its_filters_alone() -> None:
    given_ = {"collection_id": "a", "bbox": None, "limit": 5, "cursor": "x", "datetime": "2024-05-01"}
    assert search_of(given_) == {"collection_id": "a", "datetime": "2024-05-01"}
    assert place_kinds({}) == KINDS
    assert place_kinds({"point": [0, 0]})[0] == "distance"
    filters = filters_of({"point": [1.0, 2.0], "distance_m": 3.0})
    assert (filters.longitude, filters.latitude, filters.distance) == (1.0, 2.0, 3.0)
    assert filters.area is not None


def test_a_page_ends_at_its_limit_or_its_bytes() -> None:
    rows = [{"item": {"n": n}} for n in range(5)]
    assert fill(iter(rows), "item", 3) == (rows[:3], True)
    assert fill(iter(rows), "item", 5) == (rows, False)
    heavy = [{"item": "x" * (MAX_PAGE_BYTES // 2 + 1)}] * 3
    assert fill(iter(heavy), "item", 3) == (heavy[:1], True)
    assert fill(iter([{"item": "x" * 10 * MAX_PAGE_BYTES}]), "item", 3)[1] is False
