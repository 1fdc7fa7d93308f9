"""Writers of files in the formats that have no writer in the fixtures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import pyarrow as pa
import pyarrow.parquet as pq
from shapely.geometry import Polygon

from services.vector.gdal import pyogrio


def written(suffix: str, **options: Any) -> Callable[[gpd.GeoDataFrame, Path], bytes]:
    def write(data: gpd.GeoDataFrame, folder: Path) -> bytes:
        path = folder / f"made{suffix}"
        path.unlink(missing_ok=True)
        pyogrio.write_dataframe(data, path, **options)
        return path.read_bytes()

    return write


def parquet(data: gpd.GeoDataFrame, folder: Path, **options: Any) -> bytes:
    path = folder / "made.parquet"
    data.to_parquet(path, **options)
    return path.read_bytes()


def csv_of_shapes(data: gpd.GeoDataFrame, folder: Path, delimiter: str = ",") -> bytes:
    del folder
    column = data.columns[0]
    shapes = [shape.wkt if shape else "" for shape in data.geometry]
    lines = [f"{column}{delimiter}wkt"]
    lines += [f'{value}{delimiter}"{shape}"' for value, shape in zip(data[column], shapes, strict=True)]
    return "\n".join(lines).encode()


def kml(data: gpd.GeoDataFrame, folder: Path) -> bytes:
    del folder
    column = data.columns[0]
    about = (
        "<name>{}</name>"
        if column == "name"
        else f'<ExtendedData><Data name="{column}"><value>{{}}</value></Data></ExtendedData>'
    )
    marks = [
        f"<Placemark>{about.format(value)}{ring(shape) if shape else ''}</Placemark>"
        for value, shape in zip(data[column], data.geometry, strict=True)
    ]
    return document(f"<Folder><name>all</name>{''.join(marks)}</Folder>")


def ring(shape: Polygon) -> str:
    points = " ".join(f"{x},{y}" for x, y in shape.exterior.coords)
    boundary = f"<outerBoundaryIs><LinearRing><coordinates>{points}</coordinates></LinearRing></outerBoundaryIs>"
    return f"<Polygon>{boundary}</Polygon>"


def document(inside: str, head: str = '<?xml version="1.0" encoding="UTF-8"?>') -> bytes:
    return f'{head}<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{inside}</Document></kml>'.encode()


def geoparquet(folder: Path, encoding: str, geometry: pa.Array, **options: Any) -> bytes:
    """Write a Parquet file with the metadata of GeoParquet 1.1."""
    column = {"encoding": encoding, "geometry_types": []}
    geo = {"version": "1.1.0", "primary_column": "geom", "columns": {"geom": column}}
    table = pa.table({"n": pa.array(range(1, len(geometry) + 1)), "geom": geometry})
    path = folder / "made.parquet"
    pq.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), path, **options)
    return path.read_bytes()
