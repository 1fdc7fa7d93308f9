"""The real application with one more job type, whose tasks wait and fail as they are told."""

import runpy
from pathlib import Path

import controllers
import services
from tests.acceptance.app.probe import Probe, handle

assert isinstance(controllers.CONTROLLERS, dict)
controllers.CONTROLLERS[Probe.job_type] = Probe()
services.HANDLERS["probe"] = f"{handle.__module__}:{handle.__name__}"

app = runpy.run_path(str(Path(controllers.__file__).parents[1] / "function_app.py"))["app"]
