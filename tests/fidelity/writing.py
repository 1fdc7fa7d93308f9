"""Writers of random tables, run in a process of their own.

There GDAL has all of its drivers, which no process of ours may have: so nothing of the app is imported here.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import shapely
from pyproj import CRS

GEOMETRY = "geometry"


def write(name: str, attributes: pa.Table, shapes: list[bytes | None], crs: str) -> bytes:
    """Write a table with the writer of a format; return the file's bytes. `shapes` are WKB."""
    with tempfile.TemporaryDirectory() as folder:
        return _WRITERS[name](attributes, shapes, crs, Path(folder))


def _by_gdal(suffix: str, driver: str, **options: str) -> Callable[..., bytes]:
    def make(attributes: pa.Table, shapes: list[bytes | None], crs: str, folder: Path) -> bytes:
        path = folder / f"made{suffix}"
        pyogrio.raw.write_arrow(
            attributes.append_column(GEOMETRY, pa.array(shapes, pa.binary())),
            path,
            layer="made",
            driver=driver,
            geometry_name=GEOMETRY,
            geometry_type=_type_of(shapes),
            crs=crs,
            **options,
        )
        if driver != "ESRI Shapefile":
            return path.read_bytes()
        archive = folder / "made.zip"
        with zipfile.ZipFile(archive, "w") as opened:
            for part in sorted(folder.glob("made.*")):
                if part != archive:
                    opened.write(part, part.name)
        return archive.read_bytes()

    return make


def _gdal_xy(attributes: pa.Table, shapes: list[bytes | None], crs: str, folder: Path) -> bytes:
    del crs
    points = shapely.from_wkb(shapes)
    table = attributes.append_column("x", pa.array(shapely.get_x(points)))
    path = folder / "made.csv"
    pyogrio.raw.write_arrow(table.append_column("y", pa.array(shapely.get_y(points))), path, driver="CSV")
    return path.read_bytes()


def _type_of(shapes: list[bytes | None]) -> str:
    types = {shapely.from_wkb(shape).geom_type for shape in shapes if shape is not None}
    return types.pop() if len(types) == 1 else "Unknown"


def _frame(attributes: pa.Table, shapes: list[bytes | None], crs: str) -> gpd.GeoDataFrame:
    plain = attributes.to_pandas(types_mapper=pd.ArrowDtype)
    return gpd.GeoDataFrame(plain, geometry=list(shapely.from_wkb(shapes)), crs=crs)


def _geopandas_parquet(attributes: pa.Table, shapes: list[bytes | None], crs: str, folder: Path) -> bytes:
    _frame(attributes, shapes, crs).to_parquet(folder / "made.parquet", row_group_size=4)
    return (folder / "made.parquet").read_bytes()


def _geopandas_native(attributes: pa.Table, shapes: list[bytes | None], crs: str, folder: Path) -> bytes:
    frame = _frame(attributes, shapes, crs)
    frame.to_parquet(folder / "made.parquet", geometry_encoding="geoarrow")
    return (folder / "made.parquet").read_bytes()


class _GeoArrowWkb(pa.ExtensionType):  # type: ignore[misc]
    """GeoArrow's WKB, of which pyarrow makes Parquet's own type GEOMETRY."""

    def __init__(self, about: str) -> None:
        self.about = about
        super().__init__(pa.binary(), "geoarrow.wkb")

    def __arrow_ext_serialize__(self) -> bytes:
        return self.about.encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, serialized: bytes) -> _GeoArrowWkb:
        del storage
        return cls(serialized.decode())


def _typed_parquet(attributes: pa.Table, shapes: list[bytes | None], crs: str, folder: Path) -> bytes:
    kind = _GeoArrowWkb(f'{{"crs": {CRS(crs).to_json()}}}')
    geometry = pa.ExtensionArray.from_storage(kind, pa.array(shapes, pa.binary()))
    pq.write_table(attributes.append_column(GEOMETRY, geometry), folder / "made.parquet", store_schema=False)
    return (folder / "made.parquet").read_bytes()


def _pandas_text(separator: str) -> Callable[..., bytes]:
    def make(attributes: pa.Table, shapes: list[bytes | None], crs: str, folder: Path) -> bytes:
        del crs
        rows: Any = attributes.to_pandas(types_mapper=pd.ArrowDtype)
        rows["wkt"] = [None if shape is None else shapely.from_wkb(shape).wkt for shape in shapes]
        rows.to_csv(folder / "made.csv", sep=separator, index=False)
        return (folder / "made.csv").read_bytes()

    return make


_WRITERS: dict[str, Callable[..., bytes]] = {
    "gpkg": _by_gdal(".gpkg", "GPKG"),
    "shapefile": _by_gdal(".shp", "ESRI Shapefile", ENCODING="UTF-8"),
    "fgb": _by_gdal(".fgb", "FlatGeobuf", SPATIAL_INDEX="NO"),
    "geojson": _by_gdal(".geojson", "GeoJSON"),
    "geojsonseq": _by_gdal(".geojsonl", "GeoJSONSeq"),
    "kml": _by_gdal(".kml", "LIBKML"),
    "csv_wkt": _by_gdal(".csv", "CSV", GEOMETRY="AS_WKT"),
    "csv_xy": _gdal_xy,
    "csv_pandas": _pandas_text(","),
    "tsv": _pandas_text("\t"),
    "parquet": _geopandas_parquet,
    "parquet_native": _geopandas_native,
    "parquet_typed": _typed_parquet,
}
