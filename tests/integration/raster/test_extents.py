"""Extents of collections grow and shrink with their items."""

from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from rasterio.transform import from_origin

from repositories.catalog import catalog
from repositories.postgres import Connection, Database
from services.stac.boxes import enclose
from services.stac.collections.extent import EXTENTS
from tests.fixtures.stac_schemas import validate
from tests.fixtures.stored import get_item
from tests.integration.raster.items import extent_of, item, stored, upsert
from tests.integration.raster.world import World


def test_the_extent_covers_every_item_across_the_antimeridian(world: World) -> None:
    for number, west in enumerate((600_000, 650_000)):
        place = from_origin(west, 6_000_000, 200, 200)
        name = world.put_raster(f"fiji{number}.tif", crs="EPSG:32660", transform=place)
        world.run("process_raster", name, collection_id="antimeridian")
    (box,) = extent_of(world.database, "antimeridian")["spatial"]["bbox"]
    assert box[0] > 170
    assert box[2] < -170


def remove(database: Database, collection: str, *numbers: int) -> None:
    with database.transaction() as conn:
        catalog.delete_items(conn, collection, [f"item-{number}" for number in numbers], EXTENTS)


def bounds_of(database: Database, collection: str) -> tuple[list[float], list[str]]:
    extent = extent_of(database, collection)
    return extent["spatial"]["bbox"][0], [str(end)[:4] for end in extent["temporal"]["interval"][0]]


def test_the_extent_shrinks_when_items_are_removed(world: World) -> None:
    with world.database.transaction() as conn:
        for number, west in enumerate((-20, 0, 30)):
            upsert(conn, item("shrunk", number, west=west, at=f"200{number}-01-01T00:00:00Z"))
    assert bounds_of(world.database, "shrunk") == ([-20, 0, 31, 1], ["2000", "2002"])
    remove(world.database, "shrunk", 2)
    assert bounds_of(world.database, "shrunk") == ([-20, 0, 1, 1], ["2000", "2001"])
    remove(world.database, "shrunk", 0)
    assert bounds_of(world.database, "shrunk") == ([0, 0, 1, 1], ["2001", "2001"])
    remove(world.database, "shrunk", 99)
    assert bounds_of(world.database, "shrunk") == ([0, 0, 1, 1], ["2001", "2001"])


def test_a_removal_that_rolls_back_leaves_items_and_extent(world: World) -> None:
    def cancelled() -> None:
        with world.database.transaction() as conn:
            catalog.delete_items(conn, "kept", ["item-2"], EXTENTS)
            raise KeyboardInterrupt

    with world.database.transaction() as conn:
        upsert(conn, item("kept", 1), item("kept", 2, west=9))
    with pytest.raises(KeyboardInterrupt):
        cancelled()
    assert stored(world.database, "kept") == ["item-1", "item-2"]
    assert bounds_of(world.database, "kept")[0] == [0, 0, 10, 1]


def test_a_collection_without_items_stays_and_covers_the_world_until_it_has_one(world: World) -> None:
    with world.database.transaction() as conn:
        upsert(conn, item("emptied", 1))
        conn.execute("UPDATE pgstac.collections SET content = content || '{\"title\": \"Ours\"}' WHERE id = 'emptied'")
    remove(world.database, "emptied", 1)
    with world.database.connection() as conn:
        found = catalog.get_collection(conn, "emptied")
    assert found
    validate(found)
    assert found["title"] == "Ours"
    assert found["extent"]["spatial"] == {"bbox": [[-180, -90, 180, 90]], "geostage:unknown": True}
    assert found["extent"]["temporal"]["interval"] == [[None, None]]
    with world.database.transaction() as conn:
        upsert(conn, item("emptied", 2, west=5))
    assert bounds_of(world.database, "emptied") == ([5, 0, 6, 1], ["2020", "2020"])


def test_an_extent_across_the_antimeridian_shrinks_on_either_side_of_it(world: World) -> None:
    ids = []
    for number, west in enumerate((200_000, 600_000, 650_000, 700_000)):
        name = world.put_raster(f"islands{number}.tif", crs="EPSG:32660", transform=from_origin(west, 6e6, 200, 200))
        ids.append(world.run("process_raster", name, collection_id="islands")["stac_id"])
    with world.database.connection() as conn:
        boxes = [(get_item(conn, "islands", one) or {})["bbox"] for one in ids]
    assert any(box[0] > box[2] for box in boxes)

    for gone, west, east in ((0, boxes[1][0], boxes[3][2]), (3, boxes[1][0], boxes[2][2])):
        with world.database.transaction() as conn:
            catalog.delete_items(conn, "islands", [ids[gone]], EXTENTS)
        box = bounds_of(world.database, "islands")[0]
        assert (box[0], box[2]) == (west, east)


def test_items_on_both_sides_of_the_antimeridian_are_covered_the_short_way_after_a_removal(world: World) -> None:
    with world.database.transaction() as conn:
        for number, west in enumerate((170, -179, 60)):
            upsert(conn, item("sides", number, west=west))
    remove(world.database, "sides", 2)
    assert bounds_of(world.database, "sides")[0] == [170, 0, -178, 1]


@pytest.mark.parametrize(
    ("west", "year", "expected"),
    [
        (0, 2000, ([0, 0, 11, 1], ["2000", "2001"])),
        (5, 2000, ([5, 0, 11, 1], ["2000", "2001"])),
        (0, 2003, ([0, 0, 11, 1], ["2001", "2003"])),
        (20, 1999, ([10, 0, 21, 1], ["1999", "2001"])),
    ],
)
def test_an_item_that_is_replaced_leaves_no_extent_that_is_too_large(
    world: World, west: int, year: int, expected: tuple[list[int], list[str]]
) -> None:
    name = f"replaced-{west}-{year}"
    with world.database.transaction() as conn:
        upsert(
            conn, item(name, 1, west=0, at="2000-01-01T00:00:00Z"), item(name, 2, west=10, at="2001-01-01T00:00:00Z")
        )
    with world.database.transaction() as conn:
        upsert(conn, item(name, 1, west=west, at=f"{year}-01-01T00:00:00Z"))
    assert bounds_of(world.database, name) == expected


def test_an_item_whose_place_is_lost_leaves_the_extent(world: World) -> None:
    with world.database.transaction() as conn:
        upsert(conn, item("lost", 1), item("lost", 2, west=9))
    nowhere = {key: value for key, value in item("lost", 2).items() if key != "bbox"} | {"geometry": None}
    with world.database.transaction() as conn:
        upsert(conn, nowhere)
    assert bounds_of(world.database, "lost")[0] == [0, 0, 1, 1]
    remove(world.database, "lost", 1)
    assert bounds_of(world.database, "lost") == ([-180, -90, 180, 90], ["2020", "2020"])


def test_items_are_measured_only_where_one_that_is_replaced_leaves_an_edge(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured, measure = list[str](), catalog._measure

    def note(*args: Any) -> None:
        measured.append(args[1])
        measure(*args)

    monkeypatch.setattr(catalog, "_measure", note)
    with world.database.transaction() as conn:
        upsert(conn, *(item("edges", number, west=10 * number) for number in range(3)))
    for number, west, times in ((1, 10, 0), (1, 12, 0), (3, 50, 0), (3, 55, 0), (3, 54, 1), (0, 1, 2)):
        with world.database.transaction() as conn:
            upsert(conn, item("edges", number, west=west))
        assert len(measured) == times


def test_removals_and_additions_at_once_leave_the_extent_of_what_is_left(world: World) -> None:
    """Twelve at a time add items to three collections, and each takes its own away again, but for every fourth."""
    names = [f"busy-{number}" for number in range(3)]

    def work(number: int) -> None:
        name, west = names[number % 3], number * 7 - 170
        with world.database.transaction() as conn:
            upsert(conn, item(name, number, west=west, at=f"20{number + 10}-01-01T00:00:00Z"))
        if number % 4:
            remove(world.database, name, number)

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(work, range(48)))
    for position, name in enumerate(names):
        left = [number for number in range(position, 48, 3) if number % 4 == 0]
        assert stored(world.database, name) == sorted(f"item-{number}" for number in left)
        box, years = bounds_of(world.database, name)
        assert years == [f"20{left[0] + 10}", f"20{left[-1] + 10}"]
        assert box == enclose([item(name, number, west=number * 7 - 170)["bbox"] for number in left])


def test_a_hundred_thousand_items_are_measured_quickly_and_in_bounded_memory(world: World) -> None:
    with world.database.transaction() as conn:
        upsert(conn, item("many", 0), item("many", 1, at="2030-01-01T00:00:00Z"))
    with world.database.connection() as conn, conn.transaction():
        conn.execute("SELECT set_config('search_path', 'pgstac, public', true)")
        conn.execute("""
            INSERT INTO items (id, geometry, collection, datetime, end_datetime, content)
            SELECT 'n-' || n, ST_MakeEnvelope(west, -40, west + 0.5, 60, 4326), collection, at, at, content
            FROM items, generate_series(1, 100000) AS n,
                 LATERAL (SELECT -150 + n * 0.002 AS west, datetime + n * interval '1 minute' AS at) AS place
            WHERE collection = 'many' AND id = 'item-0'""")
    tracemalloc.start()
    remove(world.database, "many", 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert bounds_of(world.database, "many") == ([-149.998, -40, 50.5, 60], ["2020", "2020"])
    assert peak < 2e6


def test_items_can_be_removed_where_there_is_no_time_to_measure_those_that_are_left(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(conn: Connection, _: str) -> list[catalog.Reach]:
        conn.execute("SET LOCAL statement_timeout = '20ms'")
        conn.execute("SELECT pg_sleep(10)")
        return []

    with world.database.transaction() as conn:
        upsert(conn, *(item("slow", number, west=10 * number) for number in range(3)))
    with monkeypatch.context() as patch:
        patch.setattr(catalog, "_all_reaches", slow)
        remove(world.database, "slow", 2)
    assert stored(world.database, "slow") == ["item-0", "item-1"]
    assert bounds_of(world.database, "slow")[0] == [0, 0, 21, 1]
    remove(world.database, "slow", 1)
    assert bounds_of(world.database, "slow")[0] == [0, 0, 1, 1]
