"""load and raster: files are uploaded, submitted, and with --follow seen through."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass, field

from geostage_client.api import Json
from geostage_client.commands.types import find_type
from geostage_client.errors import ClientError, Interrupted, UsageError
from geostage_client.output import size_of
from geostage_client.parameters import parse_options
from geostage_client.progress import show_upload, steps
from geostage_client.report import failure_of
from geostage_client.session import Session
from geostage_client.sources import MAX_BLOB_NAME, RASTER, VECTOR, Kind, Source, find_sources
from geostage_client.storage import Uploads


@dataclass
class Load:
    """One file on its way."""

    source: Source
    container: str
    blob: str
    job: Json = field(default_factory=dict)
    error: ClientError | None = None

    def as_json(self) -> Json:
        """Return the entry of `files` in the JSON document."""
        return {
            "file": str(self.source.path),
            "dataset_id": self.container,
            "resource_id": self.blob,
            "bytes": self.source.size,
            "job": self.job or None,
            "error": self.error.as_json() if self.error else None,
        }


def load(session: Session, options: Namespace) -> int:
    """Load vector files into PostGIS tables."""
    given = {"target_table": options.table} if options.table else {}
    return _run(session, options, VECTOR, {**given, **({"dry_run": True} if options.dry_run else {})})


def raster(session: Session, options: Namespace) -> int:
    """Turn rasters into COGs with STAC items."""
    return _run(session, options, RASTER, {})


def _run(session: Session, options: Namespace, kind: Kind, fixed: Json) -> int:
    sources = find_sources(options.files, kind)
    if len(sources) > 1 and (options.blob or "target_table" in fixed):
        name = "--blob" if options.blob else "--table"
        raise UsageError(f"{name} names one thing, and there are {len(sources)} files.", remedy="Load them one by one.")
    # The API is asked first: a wrong key or option is told before a gigabyte has been sent.
    job_type = find_type(session.api, kind.job_type)
    schema = {**job_type["parameters"]}
    # Labels are taken like parameters; types does not list them, for nothing is done with them.
    schema["properties"] = {**schema["properties"], **job_type["labels"]}
    chosen = parse_options(options.option, kind.job_type, schema)
    twice = next((name for name in ("dataset_id", "resource_id", *fixed) if name in chosen), None)
    if twice:
        raise UsageError(
            f"--option {twice} is not needed here.",
            remedy="--container and --blob name the blob, --table the table; --dry-run only looks.",
        )
    loads = [Load(source, options.container, _blob_name(options.blob or source.blob)) for source in sources]
    error = _send_all(session, loads, kind, {**fixed, **chosen}, follow=options.follow)
    error = error or next((one.error for one in loads if one.error), None)
    session.output.document({"files": [one.as_json() for one in loads]}, error)
    return error.exit_code if error else 0


def _send_all(session: Session, loads: list[Load], kind: Kind, parameters: Json, *, follow: bool) -> ClientError | None:
    """Upload, submit and maybe follow each file. Returns what stopped that; jobs that were submitted stay known."""
    try:
        with Uploads(session.connection, max(one.source.size for one in loads)) as uploads:
            for one in loads:
                _send(session, uploads, one, kind, parameters)
        # One after another; they run side by side.
        waiting = [one for one in loads if one.job] if follow else []
        for number, one in enumerate(waiting):
            try:
                one.job = session.follow(one.job["job_id"])
            except Interrupted as exc:
                others = [other.job["job_id"] for other in waiting[number + 1 :]]
                if others:
                    exc.remedy = f"{exc.remedy} The others: {', '.join(others)}"
                raise
            one.error = failure_of(one.job)
            session.describe(one.job)
    except ClientError as exc:
        session.output.error(exc)
        return exc
    if not follow:
        for one in filter(lambda one: one.job, loads):
            session.output.field("next", f"geostage follow {one.job['job_id']}")
    return None


def _blob_name(name: str) -> str:
    if len(name) <= MAX_BLOB_NAME and not name.startswith("/") and not {"", ".", ".."} & set(name.split("/")):
        return name
    raise UsageError(
        f"{name[:100]} cannot be the name of a blob.",
        remedy=f"Name it with --blob, in up to {MAX_BLOB_NAME} characters and with slashes only between folders.",
    )


def _send(session: Session, uploads: Uploads, one: Load, kind: Kind, parameters: Json) -> None:
    """Upload and submit one file; that the API refuses it concerns this file alone."""
    if one.source.warning:
        session.output.warning(one.source.warning)
    name, size = one.source.path.name, one.source.size
    try:
        with steps(session.output) as shown:
            show_upload(shown, name, 0, size)
            replaced = uploads.send(
                one.source, one.container, one.blob, lambda sent: show_upload(shown, name, sent, size)
            )
    except KeyboardInterrupt:
        # Blocks that were sent already do not make a blob; storage drops them after a week.
        raise Interrupted(
            "The upload was stopped; nothing was submitted.", remedy="The same command starts it again."
        ) from None
    which = ", which replaces an older one" if replaced else ""
    session.output.field("uploaded", f"{one.container}/{one.blob}, {size_of(one.source.size)}{which}")
    try:
        one.job = session.submit(kind.job_type, {"dataset_id": one.container, "resource_id": one.blob, **parameters})
    except ClientError as exc:
        if exc.status is None:
            raise
        one.error = exc
        session.output.error(exc)
        return
    again = ", which was already running" if one.job.get("existing") else ""
    session.output.field("job", f"{one.job['job_id']} {one.job['job_type']} {one.job['status']}{again}")
