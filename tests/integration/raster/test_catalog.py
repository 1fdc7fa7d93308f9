"""The catalogue: items commit with their tasks, upserts may come twice and all at once."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
import rasterio

from repositories.catalog import catalog
from schema.errors import Unavailable
from tests.fixtures.rasters import ramp
from tests.fixtures.stac_schemas import validate
from tests.fixtures.stored import get_item
from tests.integration.raster.items import extent_of, item, stored, upsert
from tests.integration.raster.world import World


def test_the_item_of_a_real_raster_is_valid_as_it_is_stored(world: World) -> None:
    tags = {"TIFFTAG_DATETIME": "2021:02:03 04:05:06"}
    name = world.put_raster("real.tif", pixels=ramp(count=3), tags=tags)
    result = world.run("process_raster", name, collection_id="real")
    with world.database.connection() as conn:
        found = get_item(conn, "real", result["stac_id"])
        collection = catalog.get_collection(conn, "real")
    assert found
    assert collection
    validate(found)
    validate(collection)
    assert found["properties"]["datetime"] == "2021-02-03T04:05:06Z"
    assert found["properties"]["geostage:datetime_source"] == "metadata"
    with rasterio.open(world.output(result)) as dataset:
        assert found["properties"]["proj:shape"] == [dataset.height, dataset.width]
        assert found["properties"]["proj:transform"][:6] == list(dataset.transform)[:6]
        assert found["bbox"] == pytest.approx(list(dataset.bounds))
    assert found["assets"]["data"]["file:size"] == world.output(result).stat().st_size


def test_the_same_job_twice_is_one_item(world: World) -> None:
    name = world.put_raster("twice.tif")
    for _ in range(2):
        world.run("process_raster", name, collection_id="twice")
    assert stored(world.database, "twice") == ["twice-v1"]


def test_a_moved_raster_moves_its_item(world: World) -> None:
    for year, west in ((2020, 0), (2022, 50)):
        with world.database.transaction() as conn:
            upsert(conn, item("moved", 1, west=west, at=f"{year}-01-01T00:00:00Z"))
    with world.database.connection() as conn:
        found = get_item(conn, "moved", "item-1")
    assert found
    assert found["bbox"] == [50, 0, 51, 1]
    assert stored(world.database, "moved") == ["item-1"]


def test_a_transaction_that_rolls_back_leaves_no_item(world: World) -> None:
    def cancelled() -> None:
        with world.database.transaction() as conn:
            upsert(conn, item("undone", 1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cancelled()
    assert stored(world.database, "undone") == []
    with world.database.connection() as conn:
        assert catalog.get_collection(conn, "undone") is None


def test_statements_after_an_upsert_find_the_tables_they_always_did(world: World) -> None:
    with world.database.transaction() as conn:
        upsert(conn, item("paths", 1))
        assert conn.execute("SHOW search_path").fetchone() == {"search_path": "public"}


@pytest.mark.parametrize("collections", [1, 4])
def test_many_tasks_that_finish_at_once_lose_no_item(world: World, collections: int) -> None:
    years = random.Random(1)

    def finish(number: int) -> None:
        name = f"crowd{collections}-{number % collections}"
        at = f"{years.randint(2000, 2020)}-0{number % 9 + 1}-01T00:00:00Z"
        with world.database.transaction() as conn:
            upsert(conn, item(name, number, west=number, at=at))

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(finish, range(48)))
    found = [one for n in range(collections) for one in stored(world.database, f"crowd{collections}-{n}")]
    assert sorted(found) == sorted(f"item-{number}" for number in range(48))
    boxes = [extent_of(world.database, f"crowd{collections}-{n}")["spatial"]["bbox"][0] for n in range(collections)]
    assert (min(box[0] for box in boxes), max(box[2] for box in boxes)) == (0, 48)


def test_another_writer_to_pgstac_is_waited_for(world: World) -> None:
    failures: list[BaseException] = []

    def other() -> None:
        try:
            for number in range(20):
                with world.database.transaction() as conn:
                    conn.execute("SELECT set_config('search_path', 'pgstac, public', true)")
                    at = f"20{number % 20 + 10}-01-01T00:00:00Z"
                    made = psycopg.types.json.Jsonb(item("shared", 1000 + number, at=at))
                    conn.execute("SELECT pgstac.upsert_item(%s)", [made])
        except psycopg.errors.DeadlockDetected:
            # Whoever is not us may lose; we may not.
            return
        except BaseException as exc:  # noqa: BLE001
            failures.append(exc)

    with world.database.transaction() as conn:
        upsert(conn, item("shared", 0))
    thread = threading.Thread(target=other)
    thread.start()
    for number in range(1, 15):
        with world.database.transaction() as conn:
            upsert(conn, item("shared", number, at=f"20{number + 10}-06-01T00:00:00Z"))
    thread.join()
    assert {f"item-{number}" for number in range(15)} <= set(stored(world.database, "shared"))
    assert all(isinstance(failure, Exception) for failure in failures)


@pytest.mark.parametrize("error", [psycopg.errors.DeadlockDetected, psycopg.errors.CheckViolation])
def test_what_passes_is_tried_again_in_the_same_transaction(
    world: World, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    act, tries = catalog._upsert, []

    def fail_first(*args: Any) -> None:
        act(*args)
        tries.append(1)
        if len(tries) < 3:
            raise error("met another")

    monkeypatch.setattr(catalog, "_upsert", fail_first)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with world.database.transaction() as conn:
        conn.execute("CREATE TEMP TABLE mine (n integer) ON COMMIT DROP")
        upsert(conn, item("again", 1))
        assert conn.execute("SELECT count(*) AS n FROM mine").fetchone() == {"n": 0}
    assert len(tries) == 3
    assert stored(world.database, "again") == ["item-1"]


def test_what_does_not_pass_is_an_error_that_is_tried_again_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise psycopg.errors.DeadlockDetected("met another")

    monkeypatch.setattr(catalog, "_upsert", fail)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(catalog.CatalogBusy), world.database.transaction() as conn:
        upsert(conn, item("never", 1))


def test_a_database_without_pgstac_says_what_to_do(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise psycopg.errors.UndefinedTable('relation "pgstac.collections" does not exist')

    monkeypatch.setattr(catalog, "_upsert", fail)
    with pytest.raises(Unavailable, match="pgSTAC is not installed"), world.database.transaction() as conn:
        upsert(conn, item("none", 1))


def test_what_people_wrote_into_a_collection_stays(world: World) -> None:
    with world.database.transaction() as conn:
        upsert(conn, item("owned", 1))
        conn.execute("UPDATE pgstac.collections SET content = content || '{\"title\": \"Ours\"}' WHERE id = 'owned'")
    with world.database.transaction() as conn:
        upsert(conn, item("owned", 2, west=9))
    with world.database.connection() as conn:
        found = catalog.get_collection(conn, "owned")
    assert found
    assert found["title"] == "Ours"
    assert found["extent"]["spatial"]["bbox"] == [[0, 0, 10, 1]]
