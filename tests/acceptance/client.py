"""The API as a client uses it: plain HTTP, and nothing of ours imported."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

Json = dict[str, Any]
ENDED = ("completed", "completed_with_errors", "failed", "cancelled")
PROBLEM_KEYS = {
    *("type", "title", "status", "detail", "code", "category", "retryable", "user_fixable", "remediation", "errors"),
}
LEAKS = re.compile(
    r"Traceback|\.py\b|psycopg|azure\.|127\.0\.0\.1|localhost|AccountKey|postgres(ql)?://|devstoreaccount|password=(?!\*)",
    re.I,
)


@dataclass(frozen=True)
class Api:
    """A client of one host; every answer is looked through for what must never be in one."""

    client: httpx.Client
    log: Path

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET a path below /api, or a link."""
        return self._ask("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        """POST to a path below /api, or a link."""
        return self._ask("POST", path, **options)

    def submit(self, job_type: str, parameters: Json, **headers: str) -> str:
        """Submit a job that is accepted, and give its id."""
        answer = self.post(f"jobs/{job_type}", json=parameters, headers=headers)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])

    def job(self, job_id: str) -> Json:
        """Show a job."""
        answer = self.get(f"jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        shown: Json = answer.json()
        return shown

    def follow(self, job_id: str, *, until: tuple[str, ...] = ENDED, seconds: float = 120) -> Json:
        """Poll a job until it has a status, and give it."""
        deadline = time.monotonic() + seconds
        while (job := self.job(job_id))["status"] not in until:
            assert time.monotonic() < deadline, self.get(f"jobs/{job_id}/explain").text
            time.sleep(0.1)
        return job

    def run(self, job_type: str, parameters: Json, **headers: str) -> Json:
        """Submit a job and follow it to its end."""
        return self.follow(self.submit(job_type, parameters, **headers))

    def tasks(self, job_id: str) -> list[Json]:
        """All tasks of a job."""
        listed: list[Json] = self.get(f"jobs/{job_id}/tasks?limit=500").json()["tasks"]
        return listed

    def log_lines(self, text: str) -> list[Json]:
        """Lines of the host's log that bear a text."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if text in line]

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = self.client.request(method, path.removeprefix("/api/"), **options)
        assert not LEAKS.search(answer.text), answer.text
        return answer


def problem_of(answer: httpx.Response, status: int, code: str) -> Json:
    """Check that an answer is a whole problem, and give it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    body: Json = answer.json()
    assert set(body) == PROBLEM_KEYS
    assert (body["status"], body["code"]) == (status, code)
    assert body["detail"]
    return body


def answer(api: Api, job_type: str, **parameters: Any) -> Json:
    """The result of a question that is answered."""
    job = api.run(job_type, parameters)
    assert job["status"] == "completed", job["error"]
    result: Json = job["result_data"]
    return result
