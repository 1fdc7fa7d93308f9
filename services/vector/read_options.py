"""Read options: what the user says about a file that the file itself does not say, or says wrongly."""

from __future__ import annotations

from dataclasses import dataclass

ALL_LAYERS = "*"


@dataclass(frozen=True)
class ReadOptions:
    """Parameters of a job that decide how its file is read."""

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
