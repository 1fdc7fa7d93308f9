"""Extents of collections: the smallest box whatever the order, and when one may be too large."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repositories.catalog.catalog import Reach
from schema.jobs import Json
from services.stac.boxes import covers, enclose, union, width
from services.stac.collections.extent import UNKNOWN, WORLD, grown, is_loose, measured

Box = tuple[float, float, float, float]
DAY = datetime(2024, 5, 1, tzinfo=UTC)
NOWHERE = Reach(None, DAY, DAY)


def extent_of(box: list[float], first: int = 1, last: int = 9, **spatial: Any) -> Json:
    ends = [f"2024-05-0{day}T00:00:00Z" for day in (first, last)]
    return {"spatial": {"bbox": [box], **spatial}, "temporal": {"interval": [ends]}}


def reach(west: float, south: float, east: float, north: float, day: int = 5) -> Reach:
    at = DAY.replace(day=day)
    return Reach((west, south, east, north), at, at)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    west = draw(st.integers(-180, 179))
    east = west + draw(st.integers(0, 200))
    south = draw(st.integers(-90, 89))
    return west, south, east - 360 if east > 180 else east, draw(st.integers(south, 90))


@given(st.lists(boxes(), min_size=1, max_size=8), st.randoms())
def test_the_box_around_many_covers_each_and_does_not_depend_on_their_order(found: list[Box], random: Any) -> None:
    west, south, east, north = enclose(found)
    assert -180 <= west <= 180
    assert -180 <= east <= 180
    for box in found:
        assert covers((west, east), (box[0], box[2]))
        assert south <= box[1] <= box[3] <= north
    shuffled = random.sample(found, len(found))
    assert enclose(shuffled) == [west, south, east, north]


@given(st.lists(boxes(), min_size=1, max_size=6))
def test_no_box_from_edge_to_edge_of_others_is_smaller(found: list[Box]) -> None:
    west, _, east, _ = enclose(found)
    arcs = [(box[0], box[2]) for box in found]
    around = [(one[0], other[1]) for one in arcs for other in arcs]
    enough = [arc for arc in around if all(covers(arc, inner) for inner in arcs)]
    assert width((west, east)) <= min([width(arc) for arc in enough], default=360)


def test_three_places_are_enclosed_where_one_after_the_other_would_go_the_long_way_round() -> None:
    places = [[0, 0, 0, 0], [-179, 0, -179, 0], [90, 0, 90, 0]]
    assert union(union(places[0], places[1]), places[2]) == [-179, 0, 90, 0]
    assert enclose(places) == [0, 0, -179, 0]


def test_heights_are_no_part_of_a_box() -> None:
    assert union([1, 2, -10, 3, 4, 500], [0, 0, 1, 1]) == [0, 0, 3, 4]


def test_a_measured_extent_is_that_of_the_items_and_further_boxes_and_intervals_stay() -> None:
    before = extent_of([-50, -50, 50, 50])
    before["spatial"]["bbox"] += [[1, 1, 2, 2], [3, 3, 4, 4]]
    before["temporal"]["interval"].append([None, None])
    assert measured(before, [reach(170, 1, 175, 2, day=3), NOWHERE, reach(-178, 0, -175, 1, day=4)]) == {
        "spatial": {"bbox": [[170, 0, -175, 2], [1, 1, 2, 2], [3, 3, 4, 4]]},
        "temporal": {"interval": [["2024-05-01T00:00:00Z", "2024-05-04T00:00:00Z"], [None, None]]},
    }


@pytest.mark.parametrize(("left", "interval"), [([], [None, None]), ([NOWHERE], ["2024-05-01T00:00:00Z"] * 2)])
def test_without_a_place_the_box_is_the_world_until_an_item_has_one(left: list[Reach], interval: list[Any]) -> None:
    extent = measured(extent_of([1, 1, 2, 2]), left)
    assert extent == {"spatial": {"bbox": [WORLD], UNKNOWN: True}, "temporal": {"interval": [interval]}}
    item = {"bbox": [7, 51, 8, 52], "properties": {"datetime": "2024-05-01T00:00:00Z"}}
    again = grown(extent, item)
    assert again["spatial"] == {"bbox": [[7, 51, 8, 52]]}
    assert again["temporal"]["interval"] == [["2024-05-01T00:00:00Z"] * 2]


@pytest.mark.parametrize(
    ("box", "before", "after", "loose"),
    [
        ([0, 0, 20, 20], reach(5, 5, 10, 10), reach(6, 6, 7, 7), False),
        ([0, 0, 20, 20], reach(0, 5, 10, 10), reach(1, 5, 10, 10), True),
        ([0, 0, 20, 20], reach(0, 5, 10, 10), reach(0, 6, 11, 9), False),
        ([0, 0, 20, 20], reach(5, 5, 20, 10), reach(5, 5, 19, 10), True),
        ([0, 0, 20, 20], reach(5, 0, 10, 10), reach(5, 1, 10, 10), True),
        ([0, 0, 20, 20], reach(5, 5, 10, 20), reach(5, 5, 10, 19), True),
        ([0, 0, 20, 20], reach(0, 0, 20, 20), reach(-5, -5, 25, 25), False),
        ([170, 0, -170, 20], reach(175, 5, -170, 10), reach(175, 5, 180, 10), True),
        ([170, 0, -170, 20], reach(-175, 5, -172, 10), reach(171, 5, 172, 10), False),
        ([-180, -90, 180, 90], reach(0, 5, 90, 10), reach(0, 5, 80, 10), True),
        ([-180, -90, 180, 90], reach(0, 5, 90, 10), reach(0, 5, 95, 10), False),
        ([-100, 0, 100, 20], reach(0, 5, 90, 10), reach(0, 5, 80, 10), True),
        ([0, 0, 20, 20], reach(5, 5, 10, 10), NOWHERE, True),
        ([0, 0, 20, 20], NOWHERE, reach(5, 5, 10, 10, day=1), False),
        ([0, 0, 20, 20], reach(5, 5, 10, 10), None, True),
        ([0, 0, 20, 20], reach(5, 5, 10, 10, day=9), reach(5, 5, 10, 10, day=8), True),
        ([0, 0, 20, 20], reach(5, 5, 10, 10, day=9), reach(5, 5, 10, 10, day=9), False),
        ([0, 0, 20, 20], reach(5, 5, 10, 10, day=1), reach(5, 5, 10, 10, day=2), True),
        ([0, 0, 20, 20], reach(5, 5, 10, 10, day=3), reach(5, 5, 10, 10, day=2), False),
    ],
)
def test_an_extent_may_be_too_large_when_an_item_leaves_its_edge(
    box: list[float], before: Reach, after: Reach | None, loose: bool
) -> None:
    assert is_loose(extent_of(box), before, after) is loose


@given(st.lists(boxes(), min_size=1, max_size=6), boxes())
def test_an_extent_that_is_not_loose_is_as_small_as_a_measured_one(found: list[Box], moved: Box) -> None:
    before, *rest = (reach(*box) for box in found)
    after = reach(*moved)
    extent = measured(extent_of([]), [before, *rest])
    larger = grown(extent, {"bbox": list(moved), "properties": {"datetime": "2024-05-05T00:00:00Z"}})
    if larger == extent and not is_loose(larger, before, after):
        smallest = measured(extent, [after, *rest])
        assert smallest["temporal"] == larger["temporal"]
        one, other = smallest["spatial"]["bbox"][0], larger["spatial"]["bbox"][0]
        assert one[1::2] == other[1::2]
        assert width((one[0], one[2])) == width((other[0], other[2]))
