"""Sources on this instance's disk: each is fetched once, whichever of its processes and threads ask for it.

A source lives in a folder named after its account, container, blob and ETag. Who uses it holds a shared lock; who makes
or removes it holds an exclusive one. A folder appears under its name by a rename, so it is whole or not there.
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
from functools import lru_cache
from pathlib import Path
from typing import IO

from schema.jobs import Source

_POLL_SECONDS = 0.05
_DRAFT = ".part"
_MAX_BYTES = 10 * 2**30
"""What cached sources may fill, unless one that is in use needs more."""
_MAX_SHARE = 0.5
"""Share of the disk's free space that they may fill."""


def cache_root() -> Path:
    """Return the folder of all sources, readable by this user alone."""
    root = Path(tempfile.gettempdir()) / f"geostage-sources-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    return root


@contextmanager
def cached(
    account: str,
    sources: Sequence[Source],
    make: Callable[[Path], None],
    check: Callable[[], None],
    *,
    max_bytes: int = _MAX_BYTES,
    max_share: float = _MAX_SHARE,
) -> Iterator[Path]:
    """Return the folder of a source and its parts; it stays while the block runs. `account` tells storages apart.

    If it is not there yet, `make(folder)` fills it. `check` is called while waiting for another process that makes it,
    and may raise.
    """
    root = cache_root()
    parts = [text for source in sources for text in (source.container, source.blob, source.etag)]
    key = "\n".join((account, *parts))
    folder = root / hashlib.sha256(key.encode()).hexdigest()[:32]
    while True:
        with _locked(folder, fcntl.LOCK_SH, check):
            if folder.exists():
                os.utime(folder)
                yield folder
                return
        with _locked(folder, fcntl.LOCK_EX, check):
            if not folder.exists():
                _make_room(root, sum(source.size for source in sources), max_bytes, max_share)
                _make(folder, make)


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    draft = folder.with_suffix(_DRAFT)
    # Left over by a process that died here: the lock is ours now.
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        make(draft)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _make_room(root: Path, size: int, max_bytes: int, max_share: float) -> None:
    """Remove the sources that were used longest ago, and by nobody now, until the new one fits."""
    found = [(path, *_look_at(path)) for path in root.iterdir() if path.suffix != ".lock"]
    _remove_stray_locks(root, {path.stem for path, _, _ in found})
    allowed = min(max_bytes, max_share * (shutil.disk_usage(root).free + sum(size for _, _, size in found)))
    # An archive is kept beside what it unpacks to.
    total = sum(size for _, _, size in found) + 3 * size
    for folder, _, freed in sorted(found, key=lambda one: one[1]):
        if total <= allowed:
            return
        if _remove_unused(folder):
            total -= freed


def _look_at(folder: Path) -> tuple[float, int]:
    """Return the time of a folder's last use and its size; zeros when another process has removed it meanwhile."""
    try:
        facts = folder.stat()
        measure = _size_of.__wrapped__ if folder.suffix == _DRAFT else _size_of
        return facts.st_mtime, measure(folder, facts.st_ino)
    except FileNotFoundError:
        return 0, 0


@lru_cache(maxsize=10_000)
def _size_of(folder: Path, inode: int) -> int:
    """Return the bytes in a folder. They never change, and looking at many files again takes long."""
    del inode
    return sum(file.stat().st_size for file in folder.rglob("*"))


def _remove_stray_locks(root: Path, sources: set[str]) -> None:
    """Remove the locks of sources that were never fetched."""
    for lock in root.glob("*.lock"):
        if lock.stem not in sources:
            _remove_unused(lock.with_suffix(""))


def _remove_unused(folder: Path) -> bool:
    lock = _lock_file(folder)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if _is_current(lock, file):
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink()
        return True


@contextmanager
def _locked(folder: Path, mode: int, check: Callable[[], None]) -> Iterator[None]:
    lock = _lock_file(folder)
    while True:
        with lock.open("w") as file:
            if _try_lock(file, mode) and _is_current(lock, file):
                yield
                return
        check()
        time.sleep(_POLL_SECONDS)


def _try_lock(file: IO[str], mode: int) -> bool:
    try:
        fcntl.flock(file, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_current(lock: Path, file: IO[str]) -> bool:
    """Whether a file that was opened and locked still has its name: who removes a source removes its lock."""
    try:
        return lock.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False


def _lock_file(folder: Path) -> Path:
    return folder.with_suffix(".lock")
