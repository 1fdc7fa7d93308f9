"""The handlers that catalog files as they are, one or a batch of them, and the one that only reports what it read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from repositories.catalog import catalog
from repositories.jobs import progress
from schema.errors import GeostageError, NotFound, PermanentError, TransientError
from schema.jobs import Json, Source
from services.containers.batches import SourceFile, read_batch
from services.containers.details import SMART_BYTES, CatalogTask, FileTask, effective, rank
from services.containers.kinds import kind_of
from services.containers.sync import BatchResult, BatchTask
from services.context import TaskContext
from services.handlers.items import taken_items, write_items
from services.raster.errors import DiskFull
from services.stac.file_records import RecordMaker
from services.stac.ids import source_item_id
from services.stac.items.item import record_of
from services.stac.metadata import describe_file

FILE_ERRORS = (PermanentError, NotFound, DiskFull)
"""Errors of one file of a batch, which do not keep the others from being cataloged."""
KILLER = "An earlier attempt ended while it read this file: {reason}"
KILLER_REMEDY = "Check the file with gdalinfo or ogrinfo, repair it, and upload it again."


def catalog_file(ctx: TaskContext, *, smart_bytes: int = SMART_BYTES) -> Json:
    """Catalog the job's file, unless the catalog already has a more detailed record of the same bytes."""
    source, task = ctx.source, CatalogTask.from_json(ctx.parameters)
    collection = task.collection_id
    outcome = {
        "stac_id": source_item_id(source.container, source.blob),
        "collection_id": collection,
        "source": source.label,
        "kind": kind_of(source.blob),
    }
    known = _find(ctx, source, collection)
    # A quick record would otherwise take away the statistics of a full one.
    asked = effective(task.detail, kind_of(source.blob), source.size, smart_bytes)
    if known and known["etag"] == source.etag and rank(known["detail"]) > rank(asked):
        return {"status": "unchanged", **outcome, "detail": known["detail"]}
    item = _record_maker(ctx, collection, smart_bytes).make(SourceFile(source, _content_type(ctx, source)), task.detail)
    record = record_of(item)
    write_items(ctx, [record])
    return {"status": "catalogued", **outcome, "detail": record["properties"]["geostage:detail"], "item": record}


def extract_metadata(ctx: TaskContext) -> Json:
    """Return what the job's file says about itself, and whether the catalog has it."""
    source, collection = ctx.source, FileTask.from_json(ctx.parameters).collection_id
    known = _find(ctx, source, collection)
    return {
        "source": source.label,
        "kind": kind_of(source.blob),
        "blob": {
            "size": source.size,
            "etag": source.etag,
            "last_modified": source.last_modified,
            "content_type": _content_type(ctx, source),
        },
        **describe_file(ctx.blobs, source, ctx.work_folder, ctx.check),
        "catalogue": {
            "collection_id": collection,
            "stac_id": source_item_id(source.container, source.blob),
            "catalogued": known is not None,
            "up_to_date": known is not None and known["etag"] == source.etag,
        },
    }


def _find(ctx: TaskContext, source: Source, collection: str) -> Json | None:
    """Return {etag, detail} of the record of a file, None if it is not cataloged."""
    item_id = source_item_id(source.container, source.blob)
    with ctx.database.connection() as conn:
        return catalog.find_sources(conn, collection, source.container, [item_id]).get(item_id)


def _content_type(ctx: TaskContext, source: Source) -> str | None:
    # A job keeps what identifies its source, not the content type: storage is asked again.
    listed = ctx.blobs.list_blobs(source.container, source.blob)
    return next((facts.content_type for facts in listed if facts.name == source.blob), None)


def _record_maker(ctx: TaskContext, collection: str, smart_bytes: int = SMART_BYTES) -> RecordMaker:
    return RecordMaker(
        ctx.blobs,
        ctx.work_folder,
        ctx.check,
        collection_id=collection,
        asset_base_url=ctx.settings.asset_base_url,
        max_raster_size_gb=ctx.settings.max_raster_size_gb,
        smart_bytes=smart_bytes,
    )


@dataclass
class _Batch:
    """What became of the files of a batch."""

    records: list[Json] = field(default_factory=list)
    failed: list[Json] = field(default_factory=list)

    def fail(self, blob: str, code: str, message: str, remediation: str) -> None:
        entry = {"code": code, "message": message, "remediation": remediation}
        self.failed.append({"name": blob, "kind": kind_of(blob), **entry})


def catalog_batch(ctx: TaskContext) -> Json:
    """Catalog the files of a batch; one that cannot be read becomes an entry of the report.

    Files during whose reading an earlier attempt's process died are skipped and reported.
    """
    task = BatchTask.from_json(ctx.parameters)
    batch = _make_records(ctx, task, read_batch(ctx.blobs, ctx.settings.work_container, task.batch))
    ctx.check()
    errors = taken_items(ctx, task.collection_id, batch.records)
    for record in batch.records:
        if error := errors.get(record["id"]):
            batch.fail(record["properties"]["geostage:blob"], error.error_code, error.message, error.remediation)
    records = [record for record in batch.records if record["id"] not in errors]
    failed_blob = None
    if batch.failed:
        failed_blob = f"{ctx.work_prefix}{ctx.task.attempt:04d}/failed-{ctx.task.task_index:06d}.json"
        ctx.blobs.write(ctx.settings.work_container, failed_blob, json.dumps(batch.failed).encode())
    # All records are made before the transaction begins: it holds pgSTAC's lock until the task is finished.
    try:
        if records:
            write_items(ctx, records)
    except PermanentError as exc:
        # An id was taken after it was looked at: the next attempt sees that, and fails that file alone.
        raise TransientError(exc.message, remediation="It is retried automatically.", code=exc.error_code) from exc
    return BatchResult(len(records), len(batch.failed), failed_blob).as_json()


def _make_records(ctx: TaskContext, task: BatchTask, files: list[SourceFile]) -> _Batch:
    maker, batch = _record_maker(ctx, task.collection_id), _Batch()
    killers = progress.begin(ctx.database, ctx.task)
    for file in files:
        ctx.check()
        name = file.source.blob
        if name in killers:
            reason = KILLER.format(reason=killers[name])
            batch.fail(name, code="file_kills_reader", message=reason, remediation=KILLER_REMEDY)
            continue
        # Committed before the file is opened: a library that kills the process leaves the name of the file behind.
        progress.note(ctx.database, ctx.task, name)
        try:
            batch.records.append(record_of(maker.make(file, "header")))
        except FILE_ERRORS as exc:
            error: GeostageError = exc
            batch.fail(name, error.error_code, error.message, error.remediation)
    progress.note(ctx.database, ctx.task, None)
    return batch
