"""Sources on this instance's disk: fetched once, whole or not there, and removed only when nobody uses them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from schema.jobs import Source
from services.vector.source import cache

FETCH = """
import sys, time
from pathlib import Path
from schema.jobs import Source
from services.vector.source import cache
import tempfile
tempfile.tempdir = sys.argv[1]
def make(folder):
    time.sleep(0.3)
    (folder / "file").write_text("whole")
    with open(sys.argv[2], "a") as log:
        log.write("made\\n")
with cache.cached("account", [Source("c", "b", "e", 5)], make, lambda: None) as folder:
    assert (folder / "file").read_text() == "whole"
"""


ACCOUNT = "https://one.blob.core.windows.net"


def source(etag: str, size: int = 10) -> Source:
    return Source("bronze", "a.gpkg", etag, size)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return cache.cache_root()


def fill(folder: Path) -> None:
    (folder / "file").write_bytes(b"0123456789")


def nothing() -> None:
    """Nobody has taken the task over."""


def test_processes_that_ask_at_once_make_it_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", FETCH, str(tmp_path), str(log)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    running = [subprocess.Popen(command, env=environment) for _ in range(4)]
    assert [process.wait(60) for process in running] == [0, 0, 0, 0]
    assert log.read_text() == "made\n"


def test_threads_share_it_and_another_etag_is_another_source() -> None:
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        fill(folder)

    def use(etag: str) -> bytes:
        with cache.cached(ACCOUNT, [source(etag)], make, nothing) as folder:
            return (folder / "file").read_bytes()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(use, ["one"] * 8 + ["two"] * 8)) == {b"0123456789"}
    assert len(made) == 2


def test_a_fetch_that_fails_leaves_nothing_and_is_tried_again(root: Path) -> None:
    def fail(folder: Path) -> None:
        fill(folder)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"), cache.cached(ACCOUNT, [source("one")], fail, nothing):
        pass
    assert [path for path in root.iterdir() if path.is_dir()] == []
    with cache.cached(ACCOUNT, [source("one")], fill, nothing) as folder:
        assert (folder / "file").exists()


def test_a_draft_of_a_process_that_died_is_thrown_away(root: Path) -> None:
    with cache.cached(ACCOUNT, [source("one")], fill, nothing) as folder:
        name = folder.name
    (root / name).rename(root / f"{name}.part")
    with cache.cached(ACCOUNT, [source("one")], fill, nothing) as folder:
        assert [path.name for path in folder.iterdir()] == ["file"]


def test_room_is_made_at_the_cost_of_what_nobody_uses(root: Path) -> None:
    with cache.cached(ACCOUNT, [source("used")], fill, nothing) as used:
        with cache.cached(ACCOUNT, [source("old")], fill, nothing) as old:
            pass
        with cache.cached(ACCOUNT, [source("new")], fill, nothing, max_share=0) as new:
            assert sorted(path for path in root.iterdir() if path.is_dir()) == sorted((used, new))
        assert not old.exists()
        locks = {path.stem for path in root.glob("*.lock")}
        assert locks == {used.name, new.name}


def test_the_oldest_go_when_all_together_are_over_the_limit(root: Path) -> None:
    for number, etag in enumerate(("one", "two", "three")):
        with cache.cached(ACCOUNT, [source(etag)], fill, nothing, max_bytes=45) as folder:
            pass
        os.utime(folder, (number, number))
    assert len([path for path in root.iterdir() if path.is_dir()]) == 2


def test_the_same_names_in_another_account_are_another_source() -> None:
    with cache.cached(ACCOUNT, [source("one")], fill, nothing) as one:
        pass
    with cache.cached("https://two.blob.core.windows.net", [source("one")], fill, nothing) as two:
        assert one != two


def test_who_waited_for_a_lock_that_was_removed_takes_the_new_one(root: Path) -> None:
    with cache.cached(ACCOUNT, [source("one")], fill, nothing) as folder:
        pass
    with cache._lock_file(folder).open("w") as stale:
        assert cache._remove_unused(folder)
        assert not cache._is_current(cache._lock_file(folder), stale)
    assert list(root.iterdir()) == []


def test_who_waits_for_another_can_be_told_to_stop() -> None:
    inside, leave = threading.Event(), threading.Event()

    def slow(folder: Path) -> None:
        inside.set()
        leave.wait(10)
        fill(folder)

    def hold() -> None:
        with cache.cached(ACCOUNT, [source("one")], slow, nothing):
            pass

    def stop() -> None:
        raise InterruptedError

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        inside.wait(10)
        with pytest.raises(InterruptedError), cache.cached(ACCOUNT, [source("one")], fill, stop):
            pass
        leave.set()
        holding.result()
