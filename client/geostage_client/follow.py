"""Following a job to its end: at the pace that the server asks for, over short failures of the network."""

from __future__ import annotations

import time
from collections.abc import Callable

from geostage_client.api import PATIENCE_SECONDS, Api, Json, Seen
from geostage_client.errors import Interrupted, Unreachable

DEFAULT_PAUSE = 1.0
LONGEST_PAUSE = 30.0


def follow(
    api: Api,
    job_id: str,
    show: Callable[[Json], None],
    *,
    patience: float = PATIENCE_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> Json:
    """Poll a job until it has ended, and return it; `show` gets it each time that it was asked for.

    Raises
    ------
    ClientError
        There is no such job, or the key is refused.
    Unreachable
        Nobody answered for `patience` seconds. The job goes on.
    Interrupted
        Ctrl-C. The job goes on.
    """
    seen: Seen | None = None
    answered = time.monotonic()
    try:
        while True:
            try:
                seen = api.job(job_id, seen)
            except Unreachable as exc:
                if time.monotonic() - answered > patience:
                    raise Unreachable(
                        f"{exc.message} The job goes on without us.", remedy=_again(job_id), code=exc.code
                    ) from exc
                pause = _pause(exc.retry_after)
            else:
                answered = time.monotonic()
                show(seen.job)
                if seen.job["finished_at"]:
                    return seen.job
                pause = _pause(seen.retry_after)
            sleep(pause)
    except KeyboardInterrupt:
        raise Interrupted("Stopped following; the job goes on.", remedy=_again(job_id)) from None


def _again(job_id: str) -> str:
    return f"Follow it again: geostage follow {job_id}. Stop it: geostage cancel {job_id}"


def _pause(retry_after: float | None) -> float:
    return min(retry_after or DEFAULT_PAUSE, LONGEST_PAUSE)
