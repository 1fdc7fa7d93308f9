"""The origin of a load: the layer of the source that its rows come from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from schema.clipping import clip
from schema.errors import PermanentError
from schema.jobs import Json, Source
from services.vector.formats import Format, format_of


@dataclass(frozen=True)
class Origin:
    """Where the rows of one load come from."""

    name: str
    """The layer, as people know it."""
    file: str
    """Path below the folder of the fetched source."""
    layer: str | None
    """The layer within that file; None where a file is a layer."""
    parts: tuple[Source, ...] = ()
    """The blobs beside a lone .shp."""
    staging: str = ""
    """Suffix of the staging tables, where a job loads several layers."""
    entry: str = ""
    """The file's name in its archive."""
    without_geometry: tuple[str, ...] = ()
    """Layers of the file that hold no geometries, and are not loaded unless they are named."""

    def as_json(self) -> Json:
        """Return the origin as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Json) -> Origin:
        """Read what as_json returned."""
        parts = tuple(Source(**part) for part in data["parts"])
        return cls(**{**data, "parts": parts, "without_geometry": tuple(data["without_geometry"])})

    @property
    def file_format(self) -> Format:
        """The format of the file."""
        known = format_of(self.file)
        assert known is not None
        return known

    @contextmanager
    def named(self) -> Iterator[None]:
        """Name the layer, and its file in an archive, in the message of an error that the block raises."""
        try:
            yield
        except PermanentError as exc:
            if self.layer and repr(clip(self.layer)) not in exc.message:
                exc.locate(f"Layer {clip(self.layer)!r}")
            if self.entry:
                exc.locate(clip(self.entry))
            raise
