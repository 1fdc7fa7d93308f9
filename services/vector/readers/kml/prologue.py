"""What comes before the first element of a KML document: checked before any parser sees the file.

A document type declaration can define entities, which expand to anything; it is refused, and so is an encoding that
could hide one.
"""

from __future__ import annotations

import re
from pathlib import Path

from schema.errors import PermanentError

_HEAD = 64 * 1024
_ENCODING = re.compile(rb"""encoding\s*=\s*["']([^"']*)["']""")
_ROOT = re.compile(rb"<([\w.-]+:)?kml[\s/>]")
# Of the encodings that expat knows, those in which `<!DOCTYPE` has its ASCII bytes. UTF-16 would hide it.
_SAFE_ENCODINGS = ("utf-8", "us-ascii", "ascii", "iso-8859-1")
DECLARES = "The file declares a document type or entities, which are not allowed in KML files here."


def check_safe(path: Path) -> None:
    """Check that a file is KML and declares neither a document type nor entities. Raises PermanentError.

    An encoding in which such a declaration could not be recognized is refused as well.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD).removeprefix(b"\xef\xbb\xbf")
    declared = _ENCODING.search(head.partition(b"?>")[0]) if head.lstrip().startswith(b"<?xml") else None
    if declared and declared[1].decode("latin-1").lower() not in _SAFE_ENCODINGS:
        raise refused(f"The file's encoding is {declared[1].decode('latin-1')[:40]!r}, which is not supported in KML.")
    root = head.lstrip()
    # Declarations and comments may come before the first element.
    while root.startswith((b"<?", b"<!--")):
        root = root.partition(b"?>" if root.startswith(b"<?") else b"-->")[2].lstrip()
    if root.startswith(b"<!"):
        raise refused(DECLARES)
    if not root.startswith(b"<"):
        raise refused("The file does not begin like an XML document in UTF-8.")
    if not _ROOT.match(root):
        raise PermanentError(
            "The file is XML, but not KML: its first element is not <kml>.",
            remediation="Give the file the extension of its real format, and upload it again.",
            code="wrong_format",
        )


def refused(message: str) -> PermanentError:
    """Return the error of XML that is not read."""
    return PermanentError(
        message,
        remediation="Export the file as plain KML in UTF-8, and upload that.",
        code="xml_refused",
    )
