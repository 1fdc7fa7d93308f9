"""Timer triggers: run in one worker only, one run at a time, as Azure's lease on a blob brings it about."""

import logging
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime

from azure.functions import timer as azure_timer

from local.host.functions import HostedFunction
from local.host.running import Running
from local.host.schedules import Schedule

logger = logging.getLogger("local.host.timers")


@dataclass
class Timer:
    """Runs one timer function on its schedule; a run that takes too long drops the moments that it missed."""

    function: HostedFunction
    schedule: Schedule
    running: Running
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Fire until stop() is called."""
        if self.function.trigger.get("runOnStartup"):
            self._fire()
        while True:
            now = datetime.now(UTC)
            wait = (self.schedule.after(now) - now).total_seconds()
            if self.stopping.wait(wait):
                return
            self._fire()

    def stop(self) -> None:
        """Fire no more."""
        self.stopping.set()

    def _fire(self) -> None:
        try:
            with self.running.of(self.function.name):
                self.function.invoke(azure_timer.TimerRequest(past_due=False))
        except Exception:  # a failed run is logged; the next one comes on time
            logger.exception("%s failed", self.function.name)
