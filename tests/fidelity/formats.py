"""The formats of the round trips: what of a table each can hold, and which types its columns may come back as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa

from tests.fidelity.tables import RandomTable

Types: TypeAlias = Mapping[str, tuple[str, ...]]
TYPED: Types = {
    "whole": ("bigint",), "big": ("bigint",), "real": ("double precision",), "wide": ("double precision",),
    "größe": ("text",), "code": ("text",), "flag": ("boolean",), "day": ("date",),
    "moment": ("timestamp without time zone",), "instant": ("timestamp with time zone",),
}  # fmt: skip
"""PostgreSQL's types of a format that states its own, by column."""
ANY: tuple[str, ...] = ()
"""Any type, as long as each value is written in it as it was in the file."""
TEXT: Types = {"whole": ("integer", "bigint"), "big": ("integer", "bigint"), "real": ANY, "größe": ANY, "code": ANY}
"""Types of a format of text, which are found by the values."""


@dataclass(frozen=True)
class FileFormat:
    """A format with its writer."""

    name: str
    """Of the writer."""
    suffix: str
    types: Types
    """Types of the columns that it can hold; without values a column may also be text."""
    crss: tuple[str, ...] = ("EPSG:4326", "EPSG:25832")
    mixed: bool = True
    """Whether it holds single and multi geometries side by side."""
    points_only: bool = False
    nulls: bool = True
    """Whether it holds rows without a geometry."""
    own_columns: tuple[str, ...] = ()
    """Columns of the table that come from the file itself, and not from the table that was written."""

    def holds(self, table: RandomTable) -> bool:
        """Whether the geometries of a table can be written."""
        types = {shape.geom_type for shape in table.shapes if shape is not None}
        has_nulls = any(shape is None for shape in table.shapes)
        return (
            table.crs in self.crss
            and (self.mixed or len(types) == 1)
            and (types == {"Point"} or not self.points_only)
            and (self.nulls or not has_nulls)
        )

    def columns_of(self, table: RandomTable) -> pa.Table:
        """Return the columns that can be written."""
        return table.attributes.select([name for name in table.attributes.column_names if name in self.types])


def _without(types: Types, *names: str) -> Types:
    return {name: kinds for name, kinds in types.items() if name not in names}


_DEGREES = ("EPSG:4326",)
_TEXT_AND_TIMES: Types = {**TYPED, **TEXT, "wide": ANY}
FORMATS = (
    FileFormat("gpkg", ".gpkg", TYPED),
    # A shapefile has no times, and its numbers have 18 digits.
    FileFormat(
        "shapefile",
        ".zip",
        {**_without(TYPED, "big", "wide", "flag", "moment", "instant"), "whole": ("integer", "bigint")},
        mixed=False,
    ),
    # Its one type for dates and times has both.
    FileFormat("fgb", ".fgb", {**TYPED, "day": ("date", "timestamp without time zone")}),
    # GDAL reads integers near the ends of 64 bits as doubles.
    FileFormat("geojson", ".geojson", _without(_TEXT_AND_TIMES, "big"), crss=_DEGREES),
    FileFormat("geojsonseq", ".geojsonl", _without(_TEXT_AND_TIMES, "big"), crss=_DEGREES),
    FileFormat("kml", ".kml", {**TEXT, "wide": ANY}, crss=_DEGREES, own_columns=("layer", "source_id")),
    FileFormat("csv_wkt", ".csv", TEXT, crss=_DEGREES),
    FileFormat("csv_xy", ".csv", TEXT, mixed=False, points_only=True, nulls=False, own_columns=("x", "y")),
    FileFormat("csv_pandas", ".csv", _TEXT_AND_TIMES, crss=_DEGREES),
    FileFormat("tsv", ".tsv", _TEXT_AND_TIMES, crss=_DEGREES),
    FileFormat("parquet", ".parquet", TYPED),
    FileFormat("parquet_native", ".parquet", TYPED, mixed=False),
    FileFormat("parquet_typed", ".parquet", TYPED),
)
