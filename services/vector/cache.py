"""Sources on this instance's disk: each is fetched once, whichever of its processes and threads ask for it.

A source lives in a folder named after its container, blob and ETag. Who uses it holds a shared lock; who makes or
removes it holds an exclusive one. A folder appears under its name by a rename, so it is whole or not there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from schema.jobs import Source

_POLL_SECONDS = 0.05
_MAX_SHARE = 0.5
"""Share of the disk's free space that cached sources may fill."""


def cache_root() -> Path:
    """Give the folder of all sources, readable by this user alone."""
    root = Path(tempfile.gettempdir()) / f"geostage-sources-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    return root


@contextmanager
def cached(sources: Sequence[Source], make: Callable[[Path], None], check: Callable[[], None]) -> Iterator[Path]:
    """Give the folder of a source and its parts; it stays while the block runs.

    If it is not there yet, `make(folder)` fills it. `check` is called while waiting for another process that makes it,
    and may raise.
    """
    root = cache_root()
    key = "\n".join(text for source in sources for text in (source.container, source.blob, source.etag))
    folder = root / hashlib.sha256(key.encode()).hexdigest()[:32]
    while True:
        with _locked(folder, fcntl.LOCK_SH, check):
            if folder.exists():
                os.utime(folder)
                yield folder
                return
        with _locked(folder, fcntl.LOCK_EX, check):
            if not folder.exists():
                _make_room(root, sum(source.size for source in sources))
                _make(folder, make)


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    draft = folder.with_suffix(".part")
    # Left over by a process that died here: the lock is ours now.
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        make(draft)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _make_room(root: Path, size: int) -> None:
    """Remove the sources that were used longest ago, and by nobody now, until the new one fits."""
    folders = sorted((path for path in root.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    sizes = {path: sum(file.stat().st_size for file in path.rglob("*")) for path in folders}
    allowed = _MAX_SHARE * (shutil.disk_usage(root).free + sum(sizes.values()))
    # An archive is kept beside what it unpacks to.
    total = sum(sizes.values()) + 3 * size
    for folder in folders:
        if total <= allowed:
            return
        if _remove_unused(folder):
            total -= sizes[folder]


def _remove_unused(folder: Path) -> bool:
    with _lock_file(folder).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        shutil.rmtree(folder, ignore_errors=True)
        return True


@contextmanager
def _locked(folder: Path, mode: int, check: Callable[[], None]) -> Iterator[None]:
    with _lock_file(folder).open("w") as file:
        while True:
            try:
                fcntl.flock(file, mode | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                check()
                time.sleep(_POLL_SECONDS)
        yield


def _lock_file(folder: Path) -> Path:
    return folder.with_suffix(".lock")
