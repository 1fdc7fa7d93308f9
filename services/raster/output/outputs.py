"""The outputs of a source in the output container; none of them may replace the output of another source."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from repositories.storage.blobs import BlobFacts, Blobs
from repositories.storage.provenance import check_mark, mark_of
from schema.jobs import Source
from services.raster.names import cog_blob, mosaic_blobs, tile_blob

TILE_ID = re.compile(r"r[0-9]{1,4}c[0-9]{1,4}")


@dataclass(frozen=True)
class Outputs:
    """The output container, as one attempt of a task writes the outputs of one source into it."""

    blobs: Blobs
    container: str
    source: Source
    attempt: int

    def path_of(self, blob: str) -> str:
        """Return the name of an output as results show it: container/blob."""
        return f"{self.container}/{blob}"

    def cog(self, version_id: str | None) -> str:
        """Return the name of the source's COG.

        Raises
        ------
        PermanentError
            The COG of another source, whose name makes the same output, exists there.
        """
        blob = cog_blob(self.source.container, self.source.blob, version_id)
        # Names that begin with this one may follow, but none comes before it in a listing.
        first = next(self._list(blob), None)
        self._check([first] if first and first.name == blob else [])
        return blob

    def check_folder(self, folder: str) -> None:
        """Check that a version's folder holds no tiles or mosaics of another source. Raises PermanentError."""
        self._check(self.tiles_in(folder))
        mosaics = mosaic_blobs(folder)
        self._check(facts for facts in self._list(f"{folder}/mosaic.") if facts.name in mosaics)

    def tiles_in(self, folder: str) -> Iterator[BlobFacts]:
        """List the tiles in the folder of a version."""
        start, end = tile_blob(folder, "\n").split("\n")
        for facts in self._list(start):
            # Outputs of other sources may lie deeper: a dataset's names may hold folders called "tiles".
            if facts.name.endswith(end) and TILE_ID.fullmatch(facts.name[len(start) : -len(end)]):
                yield facts

    def own_tiles_in(self, folder: str) -> Iterator[BlobFacts]:
        """List the tiles in the folder of a version that belong to this source, or to none that is known."""
        own = mark_of(self.source.label)
        return (facts for facts in self.tiles_in(folder) if facts.mark in (None, own))

    def publish(self, blob: str, path: Path, content_type: str) -> None:
        """Publish an output. Raises PermanentError when an output of another source has taken its name meanwhile."""
        self.blobs.publish(
            self.container, blob, path, attempt=self.attempt, content_type=content_type, made_of=self.source.label
        )

    def _list(self, prefix: str) -> Iterator[BlobFacts]:
        if self.blobs.has_container(self.container):
            yield from self.blobs.list_blobs(self.container, prefix)

    def _check(self, found: Iterable[BlobFacts]) -> None:
        for facts in found:
            check_mark(self.path_of(facts.name), facts.mark, self.source.label)
