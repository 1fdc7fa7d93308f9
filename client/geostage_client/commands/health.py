"""health: whether the deployment can work."""

from __future__ import annotations

from argparse import Namespace

from geostage_client.errors import ClientError
from geostage_client.session import Session


def health(session: Session, options: Namespace) -> int:
    """Show the state of each part; it needs no key."""
    del options
    healthy, report = session.api.health()
    parts = [name for name, part in report["checks"].items() if part["status"] in ("unavailable", "missing", "stale")]
    error = None
    if not healthy:
        error = ClientError(
            f"Geostage cannot work: check {', '.join(parts) or 'each part'}.",
            remedy="The table above says what to do about each part.",
            code="unavailable",
            status=503,
        )
    session.output.document({"health": report}, error)
    session.output.field("api", session.connection.api)
    session.output.field("status", report["status"])
    rows = []
    for name, part in report["checks"].items():
        figures = ", ".join(f"{key} {part[key]}" for key in part if key not in ("status", "message", "remediation"))
        details = filter(None, (part.get("message"), part.get("remediation"), figures))
        rows.append((name, part["status"], " ".join(details)))
    session.output.table(("part", "status", "details"), rows)
    if error:
        session.output.error(error)
    return error.exit_code if error else 0
