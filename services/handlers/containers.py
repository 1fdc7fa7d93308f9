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
from services.containers.listing import Summary, describe, size_of
from services.context import TaskContext

MAX_FOLDERS = 1_000
"""Tasks that share a listing, one for each folder. With more folders, or with `limit`, one task lists all in the order
of names, so that `limit` means the first ones."""
MAX_FOLDER_BYTES = 150_000
"""Of the folders' names together: they are in one task's result."""
PART_FILES = 10_000
"""Files in one blob of the rest of the list: about 2 MB, which a client can parse at once."""
CHECK_EVERY = 1_000


def prefixes(ctx: TaskContext) -> Json:
    """Return the folders directly below the prefix, None if one task lists everything."""
    container, prefix = ctx.parameters["container"], ctx.parameters["prefix"]
    # With a limit one task lists in the order of names: the limit means the first ones.
    if ctx.parameters["limit"]:
        return {"folders": None}
    folders: list[str] = []
    length = 0
    for number, found in enumerate(ctx.blobs.list_level(container, prefix)):
        if number % CHECK_EVERY == 0:
            ctx.check()
        if isinstance(found, BlobFolder) and not _is_hidden(ctx, found.name):
            folders.append(found.name)
            length += len(found.name.encode())
        if len(folders) > MAX_FOLDERS or length > MAX_FOLDER_BYTES:
            return {"folders": None}
    return {"folders": folders}


def list_files(ctx: TaskContext) -> Json:
    """List a part of the container. What does not fit into the result is written to blobs."""
    parts = _Parts(ctx, ctx.parameters["inline_bytes"])
    summary = Summary()
    list_blobs = ctx.blobs.list_blobs if ctx.parameters["deep"] else ctx.blobs.list_level
    found: Iterator[BlobFacts | BlobFolder] = list_blobs(ctx.parameters["container"], ctx.parameters["prefix"])
    suffix = (ctx.parameters["suffix"] or "").lower()
    blobs = (facts for facts in found if isinstance(facts, BlobFacts) and not _is_hidden(ctx, facts.name))
    matching = (facts for facts in blobs if facts.name.lower().endswith(suffix))
    for number, facts in enumerate(islice(matching, ctx.parameters["limit"])):
        if number % CHECK_EVERY == 0:
            ctx.check()
        file = describe(facts)
        summary.add(file)
        parts.add(file)
    parts.close()
    return {"summary": summary.as_json(), "files": parts.inline, "more_files": parts.written}


def _is_hidden(ctx: TaskContext, name: str) -> bool:
    # Large results and exports are listed only when asked for by their prefix: this very list may be among them.
    container, prefix = ctx.parameters["container"], ctx.parameters["prefix"]
    return is_own(ctx.settings, container, name) and not is_own(ctx.settings, container, prefix)


@dataclass
class _Parts:
    """The list: its beginning goes into the result, the rest into blobs of the output container.

    A result that is too large becomes a blob as a whole, and the summary would go with it.
    """

    ctx: TaskContext
    room: int
    """Bytes left in the result; 0 once a blob did not fit, so that the list has one beginning and one rest."""
    inline: list[Json] = field(default_factory=list)
    written: list[Json] = field(default_factory=list)
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
        self.written.append({"path": f"{container}/{blob}", "files": len(self._held)})
        self._held = []
