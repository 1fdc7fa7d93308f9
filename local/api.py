"""The running API, as an ordinary HTTP client sees it."""

import time

import httpx

from local.errors import StackError


def wait_for_health(api: str, seconds: float = 60.0) -> None:
    """Until GET /health answers 200, or StackError with its last answer."""
    deadline, last = time.monotonic() + seconds, "no answer"
    while time.monotonic() < deadline:
        try:
            answer = httpx.get(f"{api}/health", timeout=10)
        except httpx.HTTPError as error:
            last = str(error)
        else:
            if answer.is_success:
                return
            last = f"{answer.status_code} {answer.text}"
        time.sleep(0.2)
    raise StackError(f"{api}/health does not become healthy: {last}")
