"""The running API, as an ordinary HTTP client sees it."""

import time
from typing import Any

import httpx

from local.errors import StackError


def wait_for_health(api: str, seconds: float = 60.0) -> None:
    """Wait until GET /health answers 200. Raises StackError with its last answer."""
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
    raise StackError(f"{api}/health did not answer 200 within {seconds:g} s. Its last answer: {last}")


class Jobs:
    """Jobs of one API: submit and follow."""

    def __init__(self, api: str) -> None:
        self._api = api
        self._client = httpx.Client(base_url=api, timeout=30)

    def submit(self, job_type: str, parameters: dict[str, Any]) -> str:
        """Submit a job and return its id. Raises StackError with the text of the problem when it is refused."""
        answer = self._client.post(f"/jobs/{job_type}", json=parameters)
        if not answer.is_success:
            raise StackError(f"POST {self._api}/jobs/{job_type} answered {answer.status_code}: {answer.text}")
        return str(answer.json()["job_id"])

    def follow(self, job_id: str, seconds: float = 300.0) -> dict[str, Any]:
        """Poll a job until it has ended, and return it as GET /jobs/{job_id} shows it. Raises StackError."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            job: dict[str, Any] = self._client.get(f"/jobs/{job_id}").raise_for_status().json()
            if job["finished_at"]:
                return job
            time.sleep(0.1)
        raise StackError(f"The job {job_id} did not end within {seconds:g} s. See {self._api}/jobs/{job_id}/explain.")
