"""Steps of a task by name, and how long each took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Steps:
    """Seconds of each step of a task, in order."""

    seconds: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step; the times of a step that is entered again add up."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    def as_json(self) -> dict[str, float]:
        """Return the seconds of each step, and of all since the beginning as "total"."""
        total = time.perf_counter() - self.began
        return {name: round(value, 3) for name, value in {**self.seconds, "total": total}.items()}
