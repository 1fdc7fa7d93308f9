"""The deployment: the parts that one process has one of, each made on first use."""

from __future__ import annotations

import threading
from functools import cached_property

from controllers import CONTROLLERS
from controllers.engine.build import build_engine
from controllers.engine.child_pool import Children
from controllers.engine.engine import Engine
from controllers.http.health import Checks, Health
from controllers.http.poison import PoisonedMessages
from controllers.http.queries import Queries
from schema.settings import get_settings


class Deployment:
    """What triggers call. Nothing is read or connected before its first use."""

    def __init__(self) -> None:
        # Triggers run on threads: two engines would have twice the child processes.
        self._making = threading.RLock()

    @property
    def engine(self) -> Engine:
        with self._making:
            return self._engine

    @property
    def queries(self) -> Queries:
        return Queries(self.engine.database, CONTROLLERS)

    @property
    def poisoned(self) -> PoisonedMessages:
        return PoisonedMessages(self.engine.database, self.engine.queues)

    @property
    def health(self) -> Health:
        with self._making:
            return self._health

    @cached_property
    def _engine(self) -> Engine:
        return build_engine(Children(get_settings()))

    @cached_property
    def _health(self) -> Health:
        parts = self.engine
        return Health(Checks(parts.settings, parts.database, parts.queues, parts.blobs).by_name())
