"""The layers of a source: which of them are loaded, and each opened with the reader of its format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from schema.clipping import clip, listed
from schema.errors import PermanentError
from schema.jobs import Json, Source
from services.vector.chunks import Chunk
from services.vector.formats import (
    CSV,
    GEOJSON,
    GEOJSONSEQ,
    GEOPACKAGE,
    KML,
    PARQUET,
    SHAPEFILE,
    TSV,
    format_of,
)
from services.vector.origin import Origin
from services.vector.read_options import ALL_LAYERS, ReadOptions
from services.vector.readers import dbf, encodings, feature_count, gdal_layer, geopackage, geoparquet
from services.vector.readers.csv import layer as csv_layer
from services.vector.readers.csv.layer import CsvSchema
from services.vector.readers.encodings import Encoding
from services.vector.readers.geojson import layer as geojson_layer
from services.vector.readers.kml import layer as kml_layer
from services.vector.readers.source_layer import SourceBatch, SourceLayer
from services.vector.source.archive import Member
from services.vector.source.fetch import CONVERTED, members_of

Opened = AbstractContextManager[tuple[SourceLayer, Iterator[SourceBatch]]]


def choose(folder: Path, read_options: ReadOptions, parts: tuple[Source, ...]) -> list[Origin]:
    """Choose the layers to load.

    Parameters
    ----------
    folder
        Where the source was fetched to.
    parts
        The blobs beside a lone .shp.

    Raises
    ------
    PermanentError
        It is not clear which layer is wanted (the message lists them), or the chosen one cannot be loaded.
    """
    members, wanted = members_of(folder), read_options.layer
    if len(members) == 1:
        return _origins(folder, members[0], wanted, parts)
    if wanted == ALL_LAYERS:
        return [origin for member in members for origin in _origins(folder, member, None, parts)]
    member = next((one for one in members if wanted is not None and wanted in (one.name, one.entry)), None)
    if member is None:
        raise _not_clear([one.entry for one in members], wanted)
    return _origins(folder, member, None, parts)


def _origins(folder: Path, member: Member, wanted: str | None, parts: tuple[Source, ...]) -> list[Origin]:
    """Return the wanted layer of a file, or all of them."""
    if member.fault:
        code, message, remedy = member.fault
        raise PermanentError(message, remediation=remedy, code=code)
    file_format = format_of(member.file)
    if file_format is KML:
        # Its folders are known only when it is read; the reader refuses one that is not there.
        inner = None if wanted == ALL_LAYERS else wanted
        return [Origin(member.name, member.file, inner, parts, entry=member.entry)]
    if file_format is not GEOPACKAGE:
        if wanted not in (None, ALL_LAYERS, member.name, member.entry):
            raise _not_clear([member.name], wanted)
        return [Origin(member.name, member.file, None, parts, entry=member.entry)]
    layers = gdal_layer.list_layers(folder / member.file, member.entry or member.name)
    if (wanted is None and len(layers) > 1) or wanted not in (None, ALL_LAYERS, *layers):
        raise _not_clear(layers, wanted)
    names = layers if wanted in (None, ALL_LAYERS) else [wanted]
    found = [Origin(name, member.file, name, parts, entry=member.entry) for name in names if name]
    if wanted not in (None, ALL_LAYERS):
        return found
    # Who names no layer learns of those that are not loaded, by the first of those that are.
    without = gdal_layer.list_without_geometry(folder / member.file, member.entry or member.name)
    return [replace(found[0], without_geometry=without), *found[1:]]


def _not_clear(names: list[str], wanted: str | None) -> PermanentError:
    found = f"{len(names)} layers: {listed(names)}" if len(names) > 1 else f"one layer: {clip(names[0])}"
    missing = f"The file has no layer {clip(wanted)!r}. It has" if wanted else "The file has"
    return PermanentError(
        f"{missing} {found}.",
        remediation='Choose one of them with "layer", or load each into a table of its own with "layer": "*".',
        code="layer_missing" if wanted else "several_layers",
    )


@contextmanager
def open_origin(
    folder: Path,
    origin: Origin,
    read_options: ReadOptions,
    check: Callable[[], None],
    *,
    chunk: Chunk | None = None,
    reader_state: Json | None = None,
    geometry_only: bool = False,
) -> Iterator[tuple[SourceLayer, Iterator[SourceBatch]]]:
    """Open a layer for one pass over its rows, or over those of a chunk.

    Parameters
    ----------
    folder
        Where the source was fetched to.
    check
        Called now and then; may raise.
    chunk, reader_state
        The rows to read, and the state that the layer had when it was opened for all of its rows.
    geometry_only
        Formats that can leave attributes out do so; the layer then names no fields.

    Raises
    ------
    PermanentError
        The file cannot be read. Whether all of its rows were is for the caller to ask: `row_accounting.check_counts`.
    """
    with (
        origin.named(),
        _open(folder, origin, read_options, check, chunk, reader_state, geometry_only=geometry_only) as (
            found,
            batches,
        ),
    ):
        overruled = {"source_crs": read_options.source_crs} if read_options.source_crs else {}
        layer = replace(
            found, name=origin.name, crs=read_options.source_crs or found.crs, reading={**found.reading, **overruled}
        )
        checked = origin.layer if origin.file_format is GEOPACKAGE and not chunk else None
        yield layer, _after_check(batches, folder / origin.file, checked) if checked else batches


def _after_check(batches: Iterator[SourceBatch], path: Path, layer: str) -> Iterator[SourceBatch]:
    # Before the rows, as what the pages have lost is missing in any count of them; and with the first of them, as a
    # layer may be opened for its description alone.
    geopackage.check_sound(path, layer)
    yield from batches


def retyped(origin: Origin, layer: SourceLayer, types: dict[int, str]) -> SourceLayer:
    """Return a layer some of whose fields, by their positions, its tasks read as other types, where it is text: in CSV.

    The types are PostgreSQL's. What is there twice, 10115 beside 00501, is then as it is written.
    """
    if origin.file_format not in (CSV, TSV) or not types:
        return layer
    schema = CsvSchema.from_json(layer.reader_state).retyped(types)
    read = schema.layer(layer.name, layer.bounds)
    return replace(layer, fields=read.fields, reading={**layer.reading, **read.reading}, reader_state=read.reader_state)


def _open(
    folder: Path,
    origin: Origin,
    read_options: ReadOptions,
    check: Callable[[], None],
    chunk: Chunk | None,
    reader_state: Json | None,
    *,
    geometry_only: bool,
) -> Opened:
    path, file_format = folder / origin.file, origin.file_format
    if file_format in (CSV, TSV):
        if chunk:
            return csv_layer.open_csv_chunk(path, origin.name, reader_state or {}, chunk, check)
        return csv_layer.open_csv(path, origin.name, read_options, check, geometry_only=geometry_only)
    if file_format is KML:
        return kml_layer.open_placemarks(path, origin.name, replace(read_options, layer=origin.layer), check)
    if file_format is PARQUET:
        converted = path.with_suffix(CONVERTED)
        return geoparquet.open_converted(path, converted, origin.name, chunk=chunk, geometry_only=geometry_only)
    if file_format in (GEOJSON, GEOJSONSEQ):
        if chunk:
            return geojson_layer.open_geojson_chunk(path, origin.name, reader_state or {}, chunk, check)
        by_lines = file_format is GEOJSONSEQ
        return geojson_layer.open_geojson(
            path, origin.name, read_options, check, by_lines=by_lines, geometry_only=geometry_only
        )
    encoding: Encoding | None = None
    if file_format is SHAPEFILE and read_options.encoding:
        encoding = encodings.from_parameter(read_options.encoding)
    elif file_format is SHAPEFILE:
        # Of a chunk it is known: the whole table was read for it.
        stated = (reader_state or {}).get("encoding")
        encoding = Encoding(**stated) if stated else dbf.encoding_of(path.with_suffix(".dbf"))
    return gdal_layer.open_layer(
        path,
        file_format,
        origin.name,
        name=origin.layer,
        chunk=chunk,
        geometry_only=geometry_only,
        encoding=encoding,
        reader_state=reader_state,
        count_rows=feature_count.counter_of(path, file_format, origin.layer),
    )


@contextmanager
def open_geometries(
    folder: Path, origin: Origin, read_options: ReadOptions, check: Callable[[], None]
) -> Iterator[tuple[SourceLayer, Iterator[SourceBatch]]]:
    """Open a layer whose rows can be read again for its geometries alone; its fields are named nonetheless.

    Raises PermanentError.
    """
    described: SourceLayer | None = None
    # Types of text and of JSON are found by all values, so these readers name their fields in either case. Of other
    # formats the layer is opened once more, without reading a row, for their names.
    if origin.file_format not in (CSV, TSV, GEOJSON, GEOJSONSEQ):
        with open_origin(folder, origin, read_options, check) as (described, _):
            pass
    with open_origin(folder, origin, read_options, check, geometry_only=True) as (layer, batches):
        yield described or layer, batches
