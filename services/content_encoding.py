"""Content-Encoding of sources: what storage serves is packed, and only the blob's properties say with what.

gzip is decoded here, after the download, so that a download can be compared with the stored size. Everything else is
refused when the job is posted, and so is gzip for a raster, of which parts are read where it lies.
https://www.rfc-editor.org/rfc/rfc9110#name-content-encoding
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from schema.clipping import clip
from schema.errors import PermanentError
from schema.jobs import Source

MAX_UNPACKED_BYTES = 20 * 2**30
MAX_RATIO = 1_000
"""Unpacked to packed. Deflate ends at 1,032; text fields that are mostly blank bring a real DBF to some hundreds."""
HARMLESS_BYTES = 2**28
"""What unpacks to this much is taken whatever its ratio."""
_GZIP = (["gzip"], ["x-gzip"])
_BLOCK = 2**20


@dataclass(frozen=True)
class Limits:
    """What a packed file may become on disk."""

    unpacked_bytes: int = MAX_UNPACKED_BYTES
    ratio: int = MAX_RATIO
    harmless_bytes: int = HARMLESS_BYTES

    def allow(self, packed: int, unpacked: int) -> bool:
        """Whether so many packed bytes may become so many."""
        return unpacked <= min(self.unpacked_bytes, max(self.harmless_bytes, self.ratio * packed))


LIMITS = Limits()


def check_encoding(source: Source, *, by_ranges: bool = False) -> None:
    """Raise PermanentError for a source that cannot be decoded; `by_ranges` for one that is read in parts."""
    given = _encodings_of(source)
    if not given or (given in _GZIP and not by_ranges):
        return
    named = f"{source.container}/{source.blob} has the Content-Encoding {clip(source.content_encoding or '')!r}"
    if given in _GZIP:
        raise _unsupported(
            f"{named}; a raster is read in parts, which a packed file does not allow.",
            "Unpack the file and upload it without a Content-Encoding; compress the pixels within the GeoTIFF instead "
            "(gdal_translate -co COMPRESS=DEFLATE).",
        )
    raise _unsupported(
        f"{named}, which cannot be decoded.",
        "Upload the file unpacked and without a Content-Encoding; a vector file may be packed with gzip instead. Where "
        "its bytes are not packed at all, clear the property (az storage blob update --content-encoding '').",
    )


def decode(source: Source, path: Path, check: Callable[[], None], limits: Limits = LIMITS) -> None:
    """Put the decoded file in the place of the stored bytes at `path`; without a Content-Encoding they stay.

    `check` is called at every block, and may raise. Memory stays small however large the file is.

    Raises
    ------
    PermanentError
        The bytes are not gzip or were cut off before they were uploaded, or would fill the disk.
    """
    check_encoding(source)
    if not _encodings_of(source):
        return
    packed = path.with_name(f"{path.name}.packed")
    path.rename(packed)
    try:
        _unpack(source, packed, path, check, limits)
    # zlib.error: within a member; BadGzipFile: a header or a checksum; EOFError: the last member ends too early.
    except (zlib.error, gzip.BadGzipFile, EOFError) as exc:
        raise PermanentError(
            f"{source.container}/{source.blob} has the Content-Encoding gzip, but its {source.size:,} bytes are not a "
            f"whole gzip file: {exc}.",
            remediation="Pack the file again and upload it, or, where it is not packed, clear the property "
            "(az storage blob update --content-encoding '').",
            code="content_encoding_damaged",
        ) from exc
    packed.unlink()


def _unpack(source: Source, packed: Path, path: Path, check: Callable[[], None], limits: Limits) -> None:
    size, written = packed.stat().st_size, 0
    # Several members one after another, as pigz and bgzip write them, are one file.
    with gzip.open(packed) as unpacked, path.open("wb") as file:
        while block := unpacked.read(_BLOCK):
            check()
            written += len(block)
            if not limits.allow(size, written):
                raise PermanentError(
                    f"{source.container}/{source.blob} would unpack from {size:,} bytes to more than {written:,}.",
                    remediation="Check the file; if it really is as large, upload it in parts.",
                    code="content_encoding_refused",
                )
            file.write(block)


def _encodings_of(source: Source) -> list[str]:
    """List the encodings in the order in which they were applied; identity is none."""
    named = (part.strip().lower() for part in (source.content_encoding or "").split(","))
    return [name for name in named if name not in ("", "identity")]


def _unsupported(message: str, remedy: str) -> PermanentError:
    return PermanentError(message, remediation=remedy, code="content_encoding_unsupported")
