"""Tables are read and loaded by others while they are replaced and added to."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import psycopg
import pytest

from schema.errors import TransientError
from services.handlers.vector import publish
from tests.fixtures.vector import boxes, gpkg
from tests.fixtures.waiting import eventually
from tests.integration.vector.loading import Loader
from tests.integration.vector.tables import load_boxes


def test_a_reader_who_never_ends_fails_the_swap_and_is_named(loader: Loader, vector_dsn: str) -> None:
    loader.handlers["vector_publish"] = partial(publish, max_wait_seconds=1)
    load_boxes(loader, 3)
    with psycopg.connect(vector_dsn, application_name="a slow report") as conn:
        conn.execute("SELECT count(*) FROM geo.a")
        with pytest.raises(TransientError, match=rf"process {conn.info.backend_pid} \(.*, a slow report\)") as caught:
            load_boxes(loader, 5)
        assert caught.value.error_code == "table_busy"
        assert conn.execute("SELECT count(*) FROM geo.a").fetchall() == [(3,)]
    load_boxes(loader, 5)
    assert loader.value("SELECT count(*) FROM geo.a") == 5


def test_the_swap_outlasts_a_reader_and_lets_others_read_meanwhile(loader: Loader, vector_dsn: str) -> None:
    load_boxes(loader, 3)
    with psycopg.connect(vector_dsn) as conn, ThreadPoolExecutor(1) as pool:
        conn.execute("SELECT count(*) FROM geo.a")
        loading = pool.submit(load_boxes, loader, 5)
        for _ in range(2):
            eventually(lambda: loader.value("SELECT count(*) FROM pg_locks WHERE NOT granted"))
            assert loader.value("SELECT count(*) FROM geo.a") == 3
            assert not loading.done()
        conn.rollback()
        assert loading.result(30)["total_features_loaded"] == 5
    assert loader.value("SELECT count(*) FROM geo.a") == 5


def test_a_view_that_is_made_while_the_swap_waits_gets_the_new_rows(loader: Loader, vector_dsn: str) -> None:
    load_boxes(loader, 3)
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'geo.a'::regclass"
    with psycopg.connect(vector_dsn) as conn, ThreadPoolExecutor(1) as pool:
        conn.execute("CREATE VIEW geo.seen AS SELECT id FROM geo.a")
        loading = pool.submit(load_boxes, loader, 5)
        eventually(lambda: loader.value(waits) == 1)
        conn.commit()
        assert loading.result(30)["total_features_loaded"] == 5
    assert loader.value("SELECT count(*) FROM geo.seen") == 5


def test_readers_see_the_old_rows_or_the_new_ones(loader: Loader, vector_dsn: str) -> None:
    load_boxes(loader, 100)
    seen: set[int] = set()
    done = threading.Event()

    def read() -> None:
        with psycopg.connect(vector_dsn, autocommit=True) as conn:
            while not done.is_set():
                row = conn.execute("SELECT count(*) FROM geo.a").fetchone()
                seen.add(row[0] if row else -1)

    with ThreadPoolExecutor() as pool:
        reading = pool.submit(read)
        for number in (200, 300):
            load_boxes(loader, number, chunk_size=20)
        done.set()
        reading.result()
    assert seen <= {100, 200, 300}


def test_two_appends_at_once_are_both_whole(loader: Loader) -> None:
    load_boxes(loader, 1)
    data = gpkg(boxes(300), loader.folder)
    more = {"target_table": "a", "load_method": "append", "chunk_size": 50}
    jobs = [loader.start_job("process_vector", resource_id=loader.put(f"{n}.gpkg", data), **more) for n in range(4)]
    loader.run_side_by_side()
    assert {loader.job(job).status for job in jobs} == {"completed"}
    assert loader.rows("SELECT count(*), count(DISTINCT id) FROM geo.a") == [(1201, 1201)]


def test_a_replace_and_an_append_at_once_do_not_deadlock(loader: Loader) -> None:
    load_boxes(loader, 10)
    data = gpkg(boxes(200), loader.folder)

    methods = ["replace", "append", "replace", "append"]
    jobs = [
        loader.start_job(
            "process_vector", resource_id=loader.put(f"{n}.gpkg", data), target_table="a", load_method=method
        )
        for n, method in enumerate(methods)
    ]
    loader.run_side_by_side()
    assert {loader.job(job).status for job in jobs} == {"completed"}
    assert loader.value("SELECT count(*) FROM geo.a") in (200, 400, 600)
