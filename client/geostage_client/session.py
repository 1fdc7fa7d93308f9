"""What every command works with: the connection, the API and the output."""

from __future__ import annotations

from dataclasses import dataclass

from geostage_client.api import Api, Json, job_path
from geostage_client.connection import Connection
from geostage_client.errors import ClientError
from geostage_client.follow import follow
from geostage_client.output import Output
from geostage_client.progress import show_job, steps
from geostage_client.report import describe, failure_of


@dataclass(frozen=True)
class Session:
    """One call of the command line."""

    connection: Connection
    api: Api
    output: Output

    def submit(self, job_type: str, parameters: Json) -> Json:
        """Submit a job, and return what the API says of it. Raises ClientError."""

        def waits(error: ClientError, seconds: float) -> None:
            self.output.warning(f"{error.message} Trying again in {seconds:g} s.")

        try:
            return self.api.submit(job_type, parameters, waits)
        except ClientError as exc:
            if exc.code == "invalid_parameters":
                exc.remedy = f"geostage types {job_type} lists the parameters."
            raise

    def follow(self, job_id: str) -> Json:
        """Follow a job to its end with its progress on stderr, and return it. Raises what `follow` raises."""
        job_path(job_id)
        with steps(self.output) as shown:
            return follow(self.api, job_id, lambda job: show_job(shown, job))

    def describe(self, job: Json) -> ClientError | None:
        """Print what a job is and made, and its error on stderr, which is returned."""
        for label, text in describe(job, local=self.connection.stack is not None):
            self.output.field(label, text)
        failure = failure_of(job)
        if failure:
            self.output.error(failure)
        return failure
