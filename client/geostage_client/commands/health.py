"""health: whether the deployment can work."""

from __future__ import annotations

from argparse import Namespace

from geostage_client.api import Json
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
            f"Geostage cannot work: {', '.join(parts) or 'a part'} of it cannot.",
            remedy="The table above says what to do.",
            code="unavailable",
            status=503,
        )
    session.output.document({"health": report}, error)
    session.output.field("api", session.connection.api)
    session.output.field("status", report["status"])
    rows = [(name, part["status"], _details(part)) for name, part in report["checks"].items()]
    session.output.table(("part", "status", "details"), rows)
    if error:
        session.output.error(error)
    return error.exit_code if error else 0


def _details(part: Json) -> str:
    said = [f"{name} {value}" for name, value in part.items() if name not in ("status", "message", "remediation")]
    return " ".join([*filter(None, (part.get("message"), part.get("remediation"))), ", ".join(said)]).strip()
