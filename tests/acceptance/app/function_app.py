"""The real application with one more job type, whose tasks wait and fail as they are told."""

import runpy
import sys
from pathlib import Path

import controllers
import services

sys.path.insert(0, str(Path(__file__).parent))
from probe import Probe

assert isinstance(controllers.CONTROLLERS, dict)
controllers.CONTROLLERS[Probe.job_type] = Probe()
services.HANDLERS["probe"] = "probe:handle"

app = runpy.run_path(str(Path(controllers.__file__).parents[1] / "function_app.py"))["app"]
