"""Poisoned messages: put back into their queue, or dropped, one or all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError, model_validator

from controllers.engine import log
from controllers.engine.validation import faults_of, parse_body
from controllers.http.schemas import PoisonOutcome
from controllers.http.views import MAX_POSITION
from repositories.jobs import poison
from repositories.postgres import Database
from repositories.storage.queues import Queues
from schema.errors import Conflict, InvalidRequest, NotFound
from schema.jobs import Json
from schema.messages import QUEUES, decode

WAVE = 200
"""Messages of one transaction."""
EXAMPLE = '{"action": "requeue", "poison_id": 7} or {"action": "drop", "all": true}'


class PoisonAction(BaseModel):
    """What to do with which messages: one by its poison_id, or all that are there now."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: Literal["requeue", "drop"] = Field(description="requeue: back into the queue; drop: gone for good.")
    poison_id: StrictInt | None = Field(default=None, ge=1, le=MAX_POSITION, description="One message, by its id.")
    all: StrictBool = Field(default=False, description="All messages that are there now.")

    @model_validator(mode="after")
    def _one_or_all(self) -> PoisonAction:
        if (self.poison_id is None) != self.all:
            raise ValueError('give one of poison_id and "all": true')
        return self


@dataclass(frozen=True)
class PoisonedMessages:
    """What an operator may do with kept messages. A message that is put back is a wake-up: its row decides again, and
    where the row needs nothing, nothing happens.
    """

    database: Database
    queues: Queues

    def act(self, body: bytes) -> Json:
        """Do what a POST asks for, and return to how many messages. Raises InvalidRequest, NotFound, Conflict."""
        wish = _parse(body)
        readable = wish.action == "requeue"
        if wish.poison_id is not None and readable:
            with self.database.connection() as conn:
                written_by_us = poison.is_readable(conn, wish.poison_id)
            if written_by_us is False:
                raise Conflict(
                    f"Message {wish.poison_id} was not written by Geostage; in its queue it would fail again.",
                    remediation="Drop it, and find out who writes to this queue.",
                    code="unreadable_message",
                )
        done = self._take_all(wish.poison_id, readable=readable)
        if wish.poison_id is not None and not done:
            raise NotFound(
                f"There is no poisoned message {wish.poison_id}.",
                remediation="GET /api/monitor/poison lists them; another call may have taken it.",
                code="poison_not_found",
            )
        with self.database.connection() as conn:
            left = sum(poison.count(conn).values())
        log.event("poison_" + wish.action, messages=done)
        return PoisonOutcome(action=wish.action, messages=done, left=left).as_json()

    def _take_all(self, poison_id: int | None, *, readable: bool) -> int:
        """Take messages wave by wave; those that are poisoned meanwhile are left, so that it comes to an end."""
        with self.database.connection() as conn:
            newest = poison.newest(conn)
        done = 0
        while True:
            with self.database.transaction() as conn:
                taken = poison.take(conn, newest=newest, limit=WAVE, readable=readable, poison_id=poison_id)
                # Sent before the commit: if either fails the message is still kept, and one too many does no harm.
                for queue in QUEUES if readable else ():
                    messages = [decode(row["content"]) for row in taken if row["queue"] == queue]
                    self.queues.send(queue, [message.encode() for message in messages if message])
            done += len(taken)
            if len(taken) < WAVE:
                return done


def _parse(body: bytes) -> PoisonAction:
    fields: Any = parse_body(body)
    try:
        return PoisonAction.model_validate(fields)
    except ValidationError as exc:
        faults = faults_of(exc)
        listed = "; ".join(f"{fault['field'] or 'body'}: {fault['message']}" for fault in faults)
        raise InvalidRequest(f"The body is not valid. {listed}", errors=faults, remediation=f"Send {EXAMPLE}.") from exc
