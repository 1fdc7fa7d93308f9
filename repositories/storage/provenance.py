"""Where outputs come from: each blob names the source that it was made of, so that no other source replaces it.

The name of an output leaves out the extension of its source: `s.tif` and `s.tiff` make one name.
"""

from __future__ import annotations

from hashlib import sha256
from urllib.parse import quote, unquote

from schema.errors import PermanentError, TransientError

MARK = "geostage_made_of"
"""The name of the mark in a blob's metadata."""
MAX_MARK = 4_000
"""All metadata of a blob may have 8 KB: https://learn.microsoft.com/rest/api/storageservices/set-blob-metadata"""


class OutputContested(TransientError):
    """Two workers wrote one output at the same time, and this one came second."""

    code = "output_contested"


def mark_of(source: str) -> str:
    """Return the mark of an output: container/blob of its source as ASCII, or a digest where that is too long."""
    # Metadata of a blob are HTTP headers, so names beyond ASCII are percent-encoded.
    quoted = quote(source)
    return quoted if len(quoted) <= MAX_MARK else sha256(source.encode()).hexdigest()


def check_mark(output: str, mark: str | None, made_of: str) -> None:
    """Refuse to replace an output that has the mark of another source. Raises PermanentError."""
    # On the blob itself and not in a table: a deleted blob leaves no mark behind, and nothing can be out of date.
    if mark not in (None, mark_of(made_of)):
        raise PermanentError(
            f"{output} was made from {unquote(mark or '')}; the output of {made_of} would have the same name.",
            remediation="Submit it with another version_id, or rename the file.",
            code="output_of_another_source",
        )


def output_contested(output: str) -> OutputContested:
    """Make the error for an output that another worker wrote at the same time."""
    return OutputContested(
        f"{output} was written by another worker at the same time.",
        remediation="It is retried automatically; choose another version_id if another file makes the same name.",
    )
