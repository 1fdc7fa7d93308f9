"""Reading a source: which of its layers are loaded, and each opened with the reader of its format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from schema.errors import PermanentError
from schema.jobs import Json, Source
from schema.words import clip, listed
from services.vector import crsmember, delimited, encodings, entries, headcount, layer, lines, parquet, placemarks
from services.vector.archive import Member
from services.vector.chunks import Chunk
from services.vector.encodings import Encoding
from services.vector.formats import (
    CSV,
    GEOJSON,
    GEOJSON_LINES,
    GEOPACKAGE,
    KML,
    PARQUET,
    SHAPEFILE,
    TSV,
    format_of,
)
from services.vector.hints import ALL_LAYERS, Hints
from services.vector.layer import SourceBatch, SourceLayer
from services.vector.origin import Origin
from services.vector.source import CONVERTED, members_of

Opened = AbstractContextManager[tuple[SourceLayer, Iterator[SourceBatch]]]


def choose(folder: Path, hints: Hints, parts: tuple[Source, ...]) -> list[Origin]:
    """Choose the layers to load. Raises PermanentError with the list when it is not clear which."""
    members = members_of(folder)
    if len(members) == 1:
        member, inner = members[0], hints.layer
    else:
        chosen = _choose_members(members, hints.layer)
        if hints.layer == ALL_LAYERS:
            return [origin for member in chosen for origin in _origins(folder, _sound(member), None, parts)]
        member, inner = chosen[0], None
    return _origins(folder, _sound(member), inner, parts)


def _choose_members(members: list[Member], wanted: str | None) -> list[Member]:
    if wanted == ALL_LAYERS:
        return members
    found = [member for member in members if wanted is not None and wanted in (member.name, member.entry)]
    return found[:1] if found else _ask([member.entry for member in members], wanted)


def _sound(member: Member) -> Member:
    if member.fault:
        code, message, remedy = member.fault
        raise PermanentError(message, remediation=remedy, code=code)
    return member


def _origins(folder: Path, member: Member, wanted: str | None, parts: tuple[Source, ...]) -> list[Origin]:
    known = format_of(member.file)
    if known is KML:
        inner = None if wanted == ALL_LAYERS else wanted
        return [Origin(member.name, member.file, inner, parts, entry=member.entry)]
    if known is not GEOPACKAGE:
        if wanted not in (None, ALL_LAYERS, member.name, member.entry):
            _ask([member.name], wanted)
        return [Origin(member.name, member.file, None, parts, entry=member.entry)]
    layers = layer.list_layers(folder / member.file, member.entry or member.name)
    if wanted == ALL_LAYERS:
        return [Origin(name, member.file, name, parts, entry=member.entry) for name in layers]
    if (wanted is None and len(layers) > 1) or wanted not in (None, *layers):
        _ask(layers, wanted)
    name = wanted or layers[0]
    return [Origin(name, member.file, name, parts, entry=member.entry)]


def _ask(names: list[str], wanted: str | None) -> list[Member]:
    """Refuse to guess. Raises PermanentError that lists the layers."""
    found = f"{len(names)} layers: {listed(names)}" if len(names) > 1 else f"one layer: {clip(names[0])}"
    missing = f"The file has no layer {clip(wanted)!r}. It has" if wanted else "The file has"
    raise PermanentError(
        f"{missing} {found}.",
        remediation='Choose one of them with "layer", or load each into a table of its own with "layer": "*".',
        code="layer_missing" if wanted else "several_layers",
    )


@contextmanager
def open_origin(
    folder: Path,
    origin: Origin,
    hints: Hints,
    check: Callable[[], None],
    *,
    chunk: Chunk | None = None,
    recipe: Json | None = None,
    geometry_only: bool = False,
) -> Iterator[tuple[SourceLayer, Iterator[SourceBatch]]]:
    """Open a layer for one pass over its rows, or over those of a chunk. Raises PermanentError.

    `recipe` is that of the layer as the first pass gave it, and comes with a chunk.
    """
    opened = _open(folder, origin, hints, check, chunk, recipe, geometry_only=geometry_only)
    with origin.named(), opened as (found, batches):
        whole = batches if chunk else _whole(folder / origin.file, origin, batches, check)
        yield found, whole


@contextmanager
def _open(
    folder: Path,
    origin: Origin,
    hints: Hints,
    check: Callable[[], None],
    chunk: Chunk | None,
    recipe: Json | None,
    *,
    geometry_only: bool,
) -> Iterator[tuple[SourceLayer, Iterator[SourceBatch]]]:
    path, known = folder / origin.file, origin.known
    inner = replace(hints, layer=origin.layer)
    encoding: Encoding | None = None
    opened: Opened
    if known in (CSV, TSV) and chunk:
        opened = delimited.reopen_delimited(path, origin.name, recipe or {}, chunk, check)
    elif known in (CSV, TSV):
        opened = delimited.open_delimited(path, origin.name, inner, check, geometry_only=geometry_only)
    elif known is KML:
        opened = placemarks.open_placemarks(path, origin.name, inner, check)
    elif known is PARQUET:
        opened = parquet.open_converted(
            path, path.with_suffix(CONVERTED), origin.name, chunk=chunk, geometry_only=geometry_only
        )
    else:
        if known in (GEOJSON, GEOJSON_LINES):
            crsmember.check_links(path, check)
        if known in (GEOJSON, GEOJSON_LINES) and not hints.source_crs:
            crsmember.check_known(path)
        encoding = _encoding_of(path, hints) if known is SHAPEFILE else None
        opened = layer.open_layer(
            path, known, origin.name, name=origin.layer, chunk=chunk, geometry_only=geometry_only, encoding=encoding
        )
    with opened as (found, batches):
        yield _described(found, origin, hints, encoding), batches


def _whole(
    path: Path, origin: Origin, batches: Iterator[SourceBatch], check: Callable[[], None]
) -> Iterator[SourceBatch]:
    """Have the rows counted where the file itself tells how many there are."""
    if origin.known is GEOJSON_LINES:
        return lines.counted(path, batches)
    if origin.known is GEOJSON:
        return entries.checked(path, batches, check)
    return headcount.checked(path, origin.known, origin, batches)


@contextmanager
def open_geometries(
    folder: Path, origin: Origin, hints: Hints, check: Callable[[], None]
) -> Iterator[tuple[SourceLayer, Iterator[SourceBatch]]]:
    """Open a layer whose rows can be read again for its geometries alone; its fields are named nonetheless.

    Raises PermanentError.
    """
    # Text is judged whole in either case; of the other formats a look of its own names the fields.
    described = None if origin.known in (CSV, TSV) else _describe(folder, origin, hints, check)
    with open_origin(folder, origin, hints, check, geometry_only=True) as (layer, batches):
        yield described or layer, batches


def _describe(folder: Path, origin: Origin, hints: Hints, check: Callable[[], None]) -> SourceLayer:
    with open_origin(folder, origin, hints, check) as (found, _):
        return found


def _encoding_of(path: Path, hints: Hints) -> Encoding:
    if hints.encoding:
        return Encoding(encodings.known_name(hints.encoding) or hints.encoding, "parameter")
    return encodings.of_dbf(path.with_suffix(".dbf"), path.with_suffix(".cpg"))


def _described(found: SourceLayer, origin: Origin, hints: Hints, encoding: Encoding | None) -> SourceLayer:
    reading = dict(found.reading)
    if encoding:
        reading |= {"encoding": encoding.name, "encoding_from": encoding.found_in}
    if hints.source_crs:
        reading |= {"source_crs": hints.source_crs}
    elif origin.known is GEOJSON and found.crs is None:
        # RFC 7946: without a word about it, longitude and latitude.
        return replace(found, name=origin.name, crs="EPSG:4326", reading=reading)
    return replace(found, name=origin.name, crs=hints.source_crs or found.crs, reading=reading)
