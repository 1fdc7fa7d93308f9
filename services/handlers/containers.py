"""The handlers of list_container: one divides the container by folders, the other lists one part."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from repositories.storage.blobs import BlobFacts, BlobFolder
from schema.jobs import Json
from schema.settings import RESULTS
from services.containers.kinds import is_own
from services.containers.listing import Folders, FoldersTask, Listing, ListPart, ListTask, Summary, describe, size_of
from services.context import TaskContext

MAX_FOLDERS = 1_000
"""Tasks that share a listing, one for each folder. With more folders, or with `limit`, one task lists all in the order
of names, so that `limit` means the first ones."""
MAX_FOLDER_BYTES = 150_000
"""Of the folders' names together: they are in one task's result."""
PART_FILES = 10_000
"""Files in one blob of the rest of the list: about 2 MB, which a client can parse at once."""
CHECK_EVERY = 1_000


def prefixes(ctx: TaskContext, *, max_folders: int = MAX_FOLDERS) -> Json:
    """Return the folders directly below the prefix, None if one task lists everything."""
    task = FoldersTask.from_json(ctx.parameters)
    # With a limit one task lists in the order of names: the limit means the first ones.
    if task.limit:
        return Folders(None).as_json()
    folders: list[str] = []
    length = 0
    for number, found in enumerate(ctx.blobs.list_level(task.container, task.prefix)):
        if number % CHECK_EVERY == 0:
            ctx.check()
        if isinstance(found, BlobFolder) and not _is_hidden(ctx, task, found.name):
            folders.append(found.name)
            length += len(found.name.encode())
        if len(folders) > max_folders or length > MAX_FOLDER_BYTES:
            return Folders(None).as_json()
    return Folders(folders).as_json()


def list_files(ctx: TaskContext) -> Json:
    """List a part of the container. What does not fit into the result is written to blobs."""
    task, summary = ListTask.from_json(ctx.parameters), Summary()
    parts = _Parts(ctx, task.inline_bytes)
    list_blobs = ctx.blobs.list_blobs if task.deep else ctx.blobs.list_level
    found: Iterator[BlobFacts | BlobFolder] = list_blobs(task.container, task.prefix)
    suffix = (task.suffix or "").lower()
    blobs = (facts for facts in found if isinstance(facts, BlobFacts) and not _is_hidden(ctx, task, facts.name))
    matching = (facts for facts in blobs if facts.name.lower().endswith(suffix))
    for number, facts in enumerate(islice(matching, task.limit)):
        if number % CHECK_EVERY == 0:
            ctx.check()
        file = describe(facts)
        summary.add(file)
        parts.add(file)
    parts.close()
    return Listing(summary, parts.inline, parts.written).as_json()


def _is_hidden(ctx: TaskContext, task: FoldersTask | ListTask, name: str) -> bool:
    # Large results and exports are listed only when asked for by their prefix: this very list may be among them.
    return is_own(ctx.settings, task.container, name) and not is_own(ctx.settings, task.container, task.prefix)


@dataclass
class _Parts:
    """The list: its beginning goes into the result, the rest into blobs of the output container.

    A result that is too large becomes a blob as a whole, and the summary would go with it.
    """

    ctx: TaskContext
    room: int
    """Bytes left in the result; 0 once a blob did not fit, so that the list has one beginning and one rest."""
    inline: list[Json] = field(default_factory=list)
    written: list[ListPart] = field(default_factory=list)
    _held: list[Json] = field(default_factory=list)

    def add(self, file: Json) -> None:
        if self.room:
            size = size_of(file)
            if size <= self.room:
                self.inline.append(file)
                self.room -= size
                return
            self.room = 0
        self._held.append(file)
        if len(self._held) == PART_FILES:
            self._write()

    def close(self) -> None:
        if self._held:
            self._write()

    def _write(self) -> None:
        task = self.ctx.task
        container = self.ctx.settings.output_container
        blob = f"{RESULTS}{task.task_id}-{task.attempt}-{len(self.written) + 1}.json"
        self.ctx.blobs.write(container, blob, json.dumps(self._held).encode(), content_type="application/json")
        self.written.append(ListPart(f"{container}/{blob}", len(self._held)))
        self._held = []
