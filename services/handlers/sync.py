"""The light handlers of sync_container: one compares container and catalog, one reports and removes."""

from __future__ import annotations

import hashlib
import json
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from repositories.catalog import catalog
from repositories.catalog.catalog import CatalogedBlob
from repositories.jobs import progress
from repositories.storage.blobs import BlobFacts
from schema.jobs import Json
from schema.settings import RESULTS
from services.containers.batches import MAX_BYTES, MAX_FILES, Batches, SourceFile, pages, read_batch
from services.containers.details import rank
from services.containers.kinds import is_own, kind_of, kind_of_blob
from services.containers.sync import BlobCounts, CompareTask, Comparison, Report, ReportTask
from services.context import TaskContext
from services.stac.collections.extent import EXTENTS
from services.stac.ids import source_item_id

PAGE = 1_000
SHOWN = 100
"""Entries in the result; the report's blob has all of them."""
BATCH_FAILED = "Its batch failed after several attempts: {message} The next sync_container reads the file again."


def compare(ctx: TaskContext, *, page: int = PAGE, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES) -> Json:
    """List the container, and write batches of the files that the catalog does not have as they are now."""
    task = CompareTask.from_json(ctx.parameters)
    prefix = f"{ctx.work_prefix}{ctx.task.attempt:04d}/"
    batches = Batches(ctx.blobs, ctx.settings.work_container, prefix, max_files, max_bytes)
    counts, seen = BlobCounts(), _Seen()
    blobs = ctx.blobs.list_blobs(task.container, task.prefix)
    # A sync of the output container would otherwise catalog its own exports.
    listed = (facts for facts in blobs if not is_own(ctx.settings, task.container, facts.name))
    for some in pages(listed, page):
        ctx.check()
        for file in _new_or_changed(ctx, task, some, counts, seen):
            batches.add(file)
    batches.close()
    missing, parts = _write_missing(ctx, task, prefix, seen, page)
    # In the transaction that finishes this task, so the table is there before any task of the next stage starts.
    progress.make(ctx.transaction, ctx.job_id)
    return Comparison(prefix, batches.count, missing, parts, counts).as_json()


def _new_or_changed(
    ctx: TaskContext, task: CompareTask, page: list[BlobFacts], counts: BlobCounts, seen: _Seen
) -> Iterator[SourceFile]:
    """Count the blobs of a page, and return the files that the catalog does not have as they are now."""
    files = {}
    for facts in page:
        kind = kind_of_blob(facts)
        counts.blobs += 1
        counts.rasters += kind == "raster"
        counts.vectors += kind == "vector"
        counts.ignored += kind in ("sidecar", "other")
        if kind in ("raster", "vector"):
            files[source_item_id(task.container, facts.name)] = facts
    # Ids follow from the blobs' names: a page of items is found by key, and the container is listed once, in order.
    with ctx.database.connection() as conn:
        known = catalog.find_sources(conn, task.collection_id, task.container, list(files))
    for item_id, facts in files.items():
        seen.add(item_id)
        if item_id not in known:
            counts.new += 1
        elif known[item_id]["etag"] != facts.etag or rank(known[item_id]["detail"]) < rank("header"):
            # A quick item was made without looking into the file.
            counts.changed += 1
        else:
            counts.unchanged += 1
            continue
        yield SourceFile.of(task.container, facts)


@dataclass
class _Seen:
    """The items that have a blob: eight bytes for each instead of its name, so that millions fit into memory.

    Of a million blobs two share a digest with a chance of 1 in 37 million; a missing item would then not be reported.
    """

    _digests: array[int] = field(default_factory=lambda: array("Q"))
    _sorted: bool = False

    def add(self, item_id: str) -> None:
        self._digests.append(_digest(item_id))
        self._sorted = False

    def __contains__(self, item_id: object) -> bool:
        if not self._sorted:
            self._digests = array("Q", sorted(self._digests))
            self._sorted = True
        digest = _digest(str(item_id))
        at = bisect_left(self._digests, digest)
        return at < len(self._digests) and self._digests[at] == digest


def _digest(item_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(item_id.encode(), digest_size=8).digest())


def _write_missing(ctx: TaskContext, task: CompareTask, prefix: str, seen: _Seen, page: int) -> tuple[int, int]:
    """Write the items whose blobs are gone to the work container; return their number, and that of the parts."""
    count = number = 0
    with ctx.database.connection() as conn:
        sources = catalog.sources(conn, task.collection_id, task.container, task.prefix)
        gone = (one for one in sources if one.item_id not in seen)
        for number, part in enumerate(pages(gone, page), start=1):
            ctx.check()
            data = json.dumps([asdict(one) for one in part]).encode()
            ctx.blobs.write(ctx.settings.work_container, _missing_blob(prefix, number), data)
            count += len(part)
    return count, number


def _missing_blob(prefix: str, number: int) -> str:
    return f"{prefix}missing-{number:06d}.json"


def summarize(ctx: TaskContext, *, shown: int = SHOWN) -> Json:
    """Write the report, and remove the items whose blobs are gone if that was requested."""
    task = ReportTask.from_json(ctx.parameters)
    path, gone = ctx.work_folder / "report.ndjson", ctx.work_folder / "gone.ndjson"
    failed, missing = _Entries(shown), _Entries(shown)
    with path.open("w", encoding="utf-8") as report, gone.open("w", encoding="utf-8") as gone_file:
        for entry in _failed_files(ctx, task):
            report.write(failed.add(entry))
        for number in range(1, task.missing_parts + 1):
            ctx.check()
            part = ctx.blobs.read(ctx.settings.work_container, _missing_blob(task.prefix, number))
            items = json.loads(part)
            # Kept for _remove, which must not ask storage for them.
            gone_file.write(json.dumps(items) + "\n")
            for item in items:
                report.write(missing.add({"code": "blob_gone", "stac_id": item["item_id"], "name": item["blob"]}))
    report_path = None
    if failed.more or missing.more:
        container, blob = ctx.settings.output_container, f"{RESULTS}{ctx.job_id}-report.ndjson"
        ctx.blobs.publish(container, blob, path, attempt=ctx.task.attempt, content_type="application/x-ndjson")
        report_path = f"{container}/{blob}"
    removed = _remove(ctx, task, gone) if task.remove_missing else 0
    return Report(failed.count, failed.shown, missing.shown, removed, report_path).as_json()


@dataclass
class _Entries:
    """Entries of the report; the first of them are shown in the result."""

    limit: int
    count: int = 0
    shown: list[Json] = field(default_factory=list)

    @property
    def more(self) -> bool:
        return self.count > len(self.shown)

    def add(self, entry: Json) -> str:
        """Count an entry, and return it as a line of JSON."""
        self.count += 1
        if len(self.shown) < self.limit:
            self.shown.append(entry)
        return json.dumps(entry) + "\n"


def _failed_files(ctx: TaskContext, task: ReportTask) -> Iterator[Json]:
    container = ctx.settings.work_container
    for blob in task.failed_blobs:
        ctx.check()
        yield from json.loads(ctx.blobs.read(container, blob))
    for failed in task.failed_batches:
        ctx.check()
        for file in read_batch(ctx.blobs, container, failed.batch):
            yield {
                "name": file.source.blob,
                "kind": kind_of(file.source.blob),
                "code": failed.code,
                "message": BATCH_FAILED.format(message=failed.message),
                "remediation": failed.remediation,
            }


def _remove(ctx: TaskContext, task: ReportTask, gone: Path) -> int:
    """Remove the items whose blobs are gone in the transaction that finishes the task, and return their number."""

    # Read from a local file: the catalog stays locked until the commit, so nothing is fetched from storage meanwhile.
    def parts() -> Iterator[list[CatalogedBlob]]:
        with gone.open(encoding="utf-8") as lines:
            for line in lines:
                ctx.check()
                yield [CatalogedBlob(**row) for row in json.loads(line)]

    return catalog.delete_sources(ctx.transaction, task.collection_id, task.container, parts(), EXTENTS)
