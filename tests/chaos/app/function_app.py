"""The real application with one more job type, whose tasks take a while and leave an effect each."""

import runpy
import sys
from pathlib import Path

import controllers
import services

sys.path.insert(0, str(Path(__file__).parent))
from slow import Slow  # type: ignore[import-not-found, unused-ignore]

assert isinstance(controllers.CONTROLLERS, dict)
controllers.CONTROLLERS[Slow.job_type] = Slow()
services.HANDLERS["slow"] = "slow:handle"

app = runpy.run_path(str(Path(controllers.__file__).parents[1] / "function_app.py"))["app"]
