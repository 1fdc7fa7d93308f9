"""What the commands print: results on stdout, progress and errors on stderr; with --json one document on stdout."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from geostage_client.errors import ClientError

STYLES = {
    "completed": "green",
    "ok": "green",
    "completed_with_errors": "yellow",
    "attention": "yellow",
    "waiting": "yellow",
    "stale": "yellow",
    "failed": "red",
    "unavailable": "red",
    "missing": "red",
    "cancelled": "yellow",
}
LABEL_WIDTH = 10
# File names and messages come from others: what moves the cursor or turns text around is shown, not obeyed.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


class Output:
    """Text for people, or one JSON document."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        for stream in (sys.stdout, sys.stderr):
            # A terminal that only knows ASCII gets \xe9 for é, and no traceback.
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        # Rich leaves colors out where NO_COLOR is set, TERM is dumb, or the output is not a terminal.
        self._out = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        self.progress_console = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def document(self, content: dict[str, Any], error: ClientError | None = None) -> None:
        """Print the JSON document of a command, with `error`, null when all is well; nothing without --json."""
        if self.as_json:
            whole = {**content, "error": error.as_json() if error else None}
            self._out.print(json.dumps(whole, indent=2), soft_wrap=True)

    def line(self, text: str = "") -> None:
        """Print a line; nothing with --json, as all that follows."""
        if not self.as_json:
            self._out.print(Text(clean(text)))

    def field(self, label: str, text: str) -> None:
        """Print a label and its text, which is colored when it begins with a state."""
        if self.as_json:
            return
        text = clean(text)
        state = text.partition(" ")[0].rstrip(",:")
        end = len(state) if state in STYLES else 0
        self._out.print(
            Text.assemble((f"{label:<{LABEL_WIDTH}}", "bold"), (text[:end], STYLES.get(state, "")), text[end:])
        )

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print rows in columns; on a terminal the last column is wrapped, elsewhere each row is one line."""
        if self.as_json:
            return
        width = self._out.width if self._out.is_terminal else None
        lines = align([headers, *([clean(str(cell)).replace("\n", " ") for cell in row] for row in rows)], width)
        self._out.print(Text(lines[0], style="bold"))
        for line in lines[1:]:
            self._out.print(Text(line))

    def error(self, error: ClientError) -> None:
        """Print an error and its remedy on stderr; with --json the commands print it in their document."""
        if self.as_json:
            return
        name = f"{error.code}: " if error.code not in ("client_error", "wrong_usage", "interrupted") else ""
        label = "stopped" if error.code == "interrupted" else "error"
        say = self.progress_console.print
        say(Text.assemble((f"{label:<{LABEL_WIDTH}}", "bold red"), clean(f"{name}{error.message}")))
        for fault in error.faults:
            # As a rule the message names them already.
            if str(fault.get("field", "")) not in error.message:
                say(Text(f"{'':<{LABEL_WIDTH}}{clean(str(fault.get('field', '')))}: {clean(str(fault['message']))}"))
        if error.remedy:
            say(Text.assemble((f"{'remedy':<{LABEL_WIDTH}}", "bold"), clean(error.remedy)))

    def warning(self, text: str) -> None:
        """Print a warning on stderr, with --json too."""
        self.progress_console.print(Text.assemble((f"{'warning':<{LABEL_WIDTH}}", "bold yellow"), clean(text)))


def clean(text: str) -> str:
    """Return text that is safe on a terminal: control characters are written as escapes."""
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), text)


def align(rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """Return rows as lines with their columns below each other, two blanks apart.

    With a width the last column is wrapped into what is left of it, at least 20 cells.
    """
    count = max(len(row) for row in rows)
    filled = [[*row, *[""] * (count - len(row))] for row in rows]
    widths = [max(cell_len(row[column]) for row in filled) for column in range(count - 1)]
    start = sum(widths) + 2 * len(widths)
    lines = []
    for row in filled:
        head = "".join(cell + " " * (size - cell_len(cell) + 2) for cell, size in zip(row[:-1], widths, strict=True))
        first, *rest = _wrap(row[-1], max(20, width - start)) if width else [row[-1]]
        lines.append((head + first).rstrip())
        lines += [" " * start + line for line in rest]
    return lines


def _wrap(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_len(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def size_of(count: float) -> str:
    """Return a number of bytes in words, by powers of ten as storage is billed: `2.1 GB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
