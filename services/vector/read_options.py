"""Hints: what the user says about a file that the file itself does not tell, or tells wrongly."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from schema.jobs import Json

ALL_LAYERS = "*"


@dataclass(frozen=True)
class Hints:
    """Parameters of a job that say how its file is read."""

    layer: str | None = None
    """The layer to load, or "*" for all of them."""
    source_crs: str | None = None
    """The CRS of the coordinates, whatever the file says."""
    encoding: str | None = None
    """The encoding of text, by a name of `encodings`."""
    latitude_column: str | None = None
    """Latitude, northing or y. The same name as longitude_column: one column holds "lat,lon"."""
    longitude_column: str | None = None
    wkt_column: str | None = None
    """WKT, EWKT or WKB in hex."""

    def as_json(self) -> Json:
        """Give the hints as JSON."""
        return asdict(self)


HINT_NAMES = tuple(field.name for field in fields(Hints))
