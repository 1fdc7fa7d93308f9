"""Jobs of rasters, and what they publish."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from schema.jobs import Json
from tests.fixtures.world import EngineWorld


class World(EngineWorld):
    """A deployment of raster jobs, and what a test does to it."""

    def run(self, job_type: str, name: str, **parameters: Any) -> Json:
        """The whole result of a job that completes, with the job's warnings under "warnings"."""
        job = self.complete(job_type, resource_id=name, **parameters)
        result = job.result_data or {}
        if "result_path" in result:
            result = json.loads(self.read(result["result_path"]))
        return {**result, "warnings": job.warnings}

    def output(self, result: Json) -> Path:
        """Return the COG of a result as a local file."""
        path = self.folder / "output.tif"
        path.write_bytes(self.read(result["cog_path"]))
        return path

    def published(self) -> list[str]:
        """The outputs."""
        return sorted(self.blobs.containers.get(self.settings.output_container, {}))
