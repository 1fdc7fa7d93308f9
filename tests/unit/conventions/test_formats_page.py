"""docs/formats.md names every extension that is read, and codes and reasons that exist."""

from __future__ import annotations

import re

from local.paths import PROJECT
from schema.error_codes import ERROR_CODES
from services.vector.formats import EXTENSIONS
from services.vector.geometry.reasons import CODE_OF

PAGE = (PROJECT / "docs" / "formats.md").read_text(encoding="utf-8")
WARNINGS = ("links_not_followed",)


def test_every_extension_has_a_place() -> None:
    assert [extension for extension in EXTENSIONS if f"`{extension}`" not in PAGE] == []


def test_every_code_in_parentheses_exists() -> None:
    named = re.findall(r"\(`([a-z]+_[a-z_]+)`", PAGE)
    assert named
    assert set(named) <= {*ERROR_CODES, *CODE_OF, *WARNINGS, "source_fid"}
