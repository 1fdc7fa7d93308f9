"""The handlers that catalogue files as they are, one or a batch of them, and the one that only tells what it read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from repositories.catalog import catalog
from repositories.jobs import progress
from schema.errors import GeostageError, NotFound, PermanentError, TransientError
from schema.jobs import Json, Source
from services.containers.batches import SourceFile, read_batch
from services.containers.details import Detail, effective, rank
from services.containers.kinds import kind_of
from services.context import TaskContext
from services.raster.errors import DiskFull
from services.stac.file_records import make_record
from services.stac.ids import source_item_id
from services.stac.items.item import record_of
from services.stac.metadata import describe_file
from services.stac.publish import taken_items, write_items

FILE_ERRORS = (PermanentError, NotFound, DiskFull)
"""What one file of a batch may fail with, while the others are catalogued."""
KILLER = "An earlier try ended while it read this file: {reason}"
KILLER_REMEDY = "Check the file with gdalinfo or ogrinfo, write it anew, and upload it."


def catalog_file(ctx: TaskContext) -> Json:
    """Catalogue the job's file."""
    source, collection = ctx.source, ctx.parameters["collection_id"]
    detail: Detail = ctx.parameters["detail"]
    file = SourceFile(source, _content_type(ctx, source))
    known = _known_better(ctx, source, collection, effective(detail, kind_of(source.blob), source.size))
    if known:
        return {"status": "unchanged", **_outcome(source, collection, known)}
    record = record_of(make_record(ctx, file, collection, detail))
    write_items(ctx, [record])
    return {
        "status": "catalogued",
        **_outcome(source, collection, record["properties"]["geostage:detail"]),
        "item": record,
    }


def _content_type(ctx: TaskContext, source: Source) -> str | None:
    """Ask storage for the content type, which the job does not keep."""
    listed = ctx.blobs.list_blobs(source.container, source.blob)
    return next((facts.content_type for facts in listed if facts.name == source.blob), None)


def _known_better(ctx: TaskContext, source: Source, collection: str, detail: Detail) -> str | None:
    """Give the detail in which these very bytes are catalogued already, if that is more than is asked for."""
    item_id = source_item_id(source.container, source.blob)
    with ctx.database.connection() as conn:
        known = catalog.find_sources(conn, collection, source.container, [item_id]).get(item_id)
    if known is None or known["etag"] != source.etag or rank(known["detail"]) <= rank(detail):
        return None
    return str(known["detail"])


def _outcome(source: Source, collection: str, detail: str) -> Json:
    return {
        "stac_id": source_item_id(source.container, source.blob),
        "collection_id": collection,
        "source": f"{source.container}/{source.blob}",
        "kind": kind_of(source.blob),
        "detail": detail,
    }


@dataclass
class _Batch:
    """What became of the files of a batch."""

    records: list[Json] = field(default_factory=list)
    failed: list[Json] = field(default_factory=list)

    def refuse(self, blob: str, code: str, message: str, remediation: str) -> None:
        said = {"code": code, "message": message, "remediation": remediation}
        self.failed.append({"name": blob, "kind": kind_of(blob), **said})


def catalog_batch(ctx: TaskContext) -> Json:
    """Catalogue the files of a batch; one that cannot be read becomes an entry of the report.

    A file whose reading killed an earlier try is passed over. All items are made before the transaction begins, which
    holds pgSTAC's lock.
    """
    killers = progress.begin(ctx.database, ctx.task)
    batch = _Batch()
    for file in read_batch(ctx.blobs, ctx.settings.work_container, ctx.parameters["batch"]):
        ctx.check()
        name = file.source.blob
        if name in killers:
            batch.refuse(name, "file_kills_reader", KILLER.format(reason=killers[name]), KILLER_REMEDY)
            continue
        progress.note(ctx.database, ctx.task, name)
        _add(ctx, batch, file)
    progress.note(ctx.database, ctx.task, None)
    ctx.check()
    _pass_over_taken(ctx, batch)
    failed_blob = _write_failed(ctx, batch.failed) if batch.failed else None
    if batch.records:
        _write(ctx, batch.records)
    return {"catalogued": len(batch.records), "failed": len(batch.failed), "failed_blob": failed_blob}


def _add(ctx: TaskContext, batch: _Batch, file: SourceFile) -> None:
    try:
        item = make_record(ctx, file, ctx.parameters["collection_id"], "header")
        batch.records.append(record_of(item))
    except FILE_ERRORS as exc:
        error: GeostageError = exc
        batch.refuse(file.source.blob, error.error_code, error.message, error.remediation)


def _pass_over_taken(ctx: TaskContext, batch: _Batch) -> None:
    """Make entries of the files whose ids are those of other files' items."""
    errors = taken_items(ctx, ctx.parameters["collection_id"], batch.records)
    for record in batch.records:
        if error := errors.get(record["id"]):
            batch.refuse(record["properties"]["geostage:blob"], error.error_code, error.message, error.remediation)
    batch.records = [record for record in batch.records if record["id"] not in errors]


def _write(ctx: TaskContext, records: list[Json]) -> None:
    try:
        write_items(ctx, records)
    except PermanentError as exc:
        # An id was taken since it was looked at: the next try sees that, and fails its file alone.
        raise TransientError(exc.message, remediation="It is tried again.", code=exc.error_code) from exc


def _write_failed(ctx: TaskContext, failed: list[Json]) -> str:
    blob = f"{ctx.work_prefix}{ctx.task.attempt:04d}/failed-{ctx.task.task_index:06d}.json"
    ctx.blobs.write(ctx.settings.work_container, blob, json.dumps(failed).encode())
    return blob


def extract_metadata(ctx: TaskContext) -> Json:
    """Tell what the job's file says about itself, and whether the catalogue knows it."""
    source, collection = ctx.source, ctx.parameters["collection_id"]
    item_id = source_item_id(source.container, source.blob)
    with ctx.database.connection() as conn:
        known = catalog.find_sources(conn, collection, source.container, [item_id]).get(item_id)
    return {
        "source": f"{source.container}/{source.blob}",
        "kind": kind_of(source.blob),
        "blob": {
            "size": source.size,
            "etag": source.etag,
            "last_modified": source.last_modified,
            "content_type": _content_type(ctx, source),
        },
        **describe_file(ctx),
        "catalogue": {
            "collection_id": collection,
            "stac_id": item_id,
            "catalogued": known is not None,
            "up_to_date": known is not None and known["etag"] == source.etag,
        },
    }
