"""Settings: every value that a deployment may change, named once, read from the environment in this module alone."""

from __future__ import annotations

from functools import cache
from typing import Annotated

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from schema.errors import NotConfigured

PREFIX = "GEOSTAGE_"
POSTGRES_DSN_VARIABLE = f"{PREFIX}POSTGRES_DSN"
STORAGE_VARIABLE = "AzureWebJobsStorage"
"""The Functions host's own storage: a connection string, or the forms `__accountName`, `__queueServiceUri`, ..."""

SYSTEM_CONTAINER_PREFIX = "azure-webjobs-"
WORK_SCHEMA = "geostage_work"
RESULTS = "_results/"
"""Results that are too large for a row, in the output container. Their names go on with the id of the job."""
EXPORTS = "_exports/"
"""Exports of the catalogue, likewise."""


class Settings(BaseSettings):
    """The settings of one deployment. Sizes end in their unit, times in seconds or hours."""

    # The input holds connection strings, which must not stand in an error that reaches a log.
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="ignore", frozen=True, populate_by_name=True, hide_input_in_errors=True
    )

    postgres_dsn: SecretStr = Field(description="libpq URI of the one database that holds job state and target tables.")
    output_container: str = Field("silver", description="Container of the outputs.")
    work_container: str = Field("geostage-work", description="Container of temporary blobs; never a source.")
    target_schemas: Annotated[tuple[str, ...], NoDecode] = Field(
        ("geo",), description="Schemas that jobs may write tables to, separated by commas."
    )
    work_retention_hours: float = Field(24, ge=0, description="How long a failed job can be tried again.")
    max_attempts: int = Field(3, ge=1, description="Tries of a task before it fails.")
    retry_base_seconds: float = Field(5, ge=0, description="Wait before the second try; four times as long each time.")
    lease_seconds: float = Field(60, gt=0, description="How long a claim holds without a heartbeat.")
    heartbeat_seconds: float = Field(15, gt=0, description="How often leases are renewed.")
    task_deadline_seconds: float = Field(540, gt=0, description="Longest run of one try; below functionTimeout.")
    task_memory_mb: int = Field(1024, gt=0, description="Largest resident size of a task's process.")
    task_processes: int = Field(
        1, ge=1, description="Child processes of a worker for each heavy queue; equal to batchSize in host.json."
    )
    sweep_resend_seconds: float = Field(
        60, gt=0, description="First resend of an unanswered task message; doubled each time."
    )
    job_deadline_hours: float = Field(24, gt=0, description="A job that is still open then fails.")
    max_raster_size_gb: float = Field(2, gt=0)
    target_tile_size_gb: float = Field(1, gt=0, description="1e9 bytes of uncompressed pixels.")
    max_repair_vertices: int = Field(200_000, gt=0, description="Largest invalid geometry that is repaired.")
    asset_base_url: str = Field("", description="Public base of asset links; empty: paths relative to the account.")

    storage_connection_string: SecretStr | None = Field(
        None, validation_alias=AliasChoices(STORAGE_VARIABLE, "storage_connection_string")
    )
    storage_account_name: str | None = Field(None, validation_alias=f"{STORAGE_VARIABLE}__accountName")
    storage_queue_uri: str | None = Field(None, validation_alias=f"{STORAGE_VARIABLE}__queueServiceUri")
    storage_blob_uri: str | None = Field(None, validation_alias=f"{STORAGE_VARIABLE}__blobServiceUri")
    storage_client_id: str | None = Field(None, validation_alias=f"{STORAGE_VARIABLE}__clientId")

    @field_validator("target_schemas", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    def backoff_seconds(self, tries: int) -> float:
        """Return how long to wait before the next try, after so many: four times as long each time."""
        return self.retry_base_seconds * 4.0 ** max(tries - 1, 0)

    def service_uri(self, service: str) -> str:
        """Return the URI of the blob or queue service when an identity is used instead of a connection string.

        Raises
        ------
        NotConfigured
            Neither form names the storage account.
        """
        given = self.storage_queue_uri if service == "queue" else self.storage_blob_uri
        if given:
            return given
        if self.storage_account_name:
            return f"https://{self.storage_account_name}.{service}.core.windows.net"
        names = f"{STORAGE_VARIABLE}, {STORAGE_VARIABLE}__accountName or {STORAGE_VARIABLE}__{service}ServiceUri"
        raise NotConfigured(f"No setting names the {service} storage.", remediation=f"Set {names}.")


@cache
def get_settings() -> Settings:
    """Read the environment, once per process.

    Raises
    ------
    NotConfigured
        A required variable is missing, or a value is out of its range; every fault is named.
    """
    try:
        return Settings()
    except ValidationError as exc:
        faults = []
        for error in exc.errors(include_input=False):
            field = str(error["loc"][0])
            # A field with an alias is named by it already.
            variable = f"{PREFIX}{field.upper()}" if field in Settings.model_fields else field
            faults.append(f"{variable}: {error['msg']}")
        raise NotConfigured(
            f"Settings are missing or wrong. {'; '.join(faults)}.",
            remediation="Correct the settings of the app, and restart it.",
        ) from exc
