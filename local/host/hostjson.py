"""host.json: the parts of it that the host acts on."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIME_SPAN = re.compile(r"^(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})(?:\.(\d{1,7}))?$")
DEFAULT_FUNCTION_TIMEOUT = 1800.0  # seconds; the default of every plan but Consumption


@dataclass(frozen=True)
class QueueSettings:
    """The `extensions.queues` section, with the real host's defaults; times in seconds."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    visibility_timeout: float = 0.0
    max_polling_interval: float = 60.0
    message_encoding: str = "base64"


@dataclass(frozen=True)
class HostJson:
    """What the host needs of host.json."""

    queues: QueueSettings
    route_prefix: str
    function_timeout: float | None  # seconds; None: no limit


def read(project: Path) -> dict[str, Any]:
    """Return the raw content of the project's host.json. Raises ValueError for what is not JSON, TypeError for JSON
    that is not an object.
    """
    data = json.loads((project / "host.json").read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise TypeError("host.json does not hold a JSON object")
    return data


def parse(raw: Mapping[str, Any]) -> HostJson:
    """The typed form of a host.json that passed the rules."""
    extensions = raw.get("extensions", {})
    queues = extensions.get("queues", {})
    default = QueueSettings()
    timeout = raw.get("functionTimeout")
    return HostJson(
        queues=QueueSettings(
            batch_size=queues.get("batchSize", default.batch_size),
            # The real host takes half of the batch size when the threshold is not given.
            new_batch_threshold=queues.get("newBatchThreshold", queues.get("batchSize", default.batch_size) // 2),
            max_dequeue_count=queues.get("maxDequeueCount", default.max_dequeue_count),
            visibility_timeout=seconds(queues.get("visibilityTimeout", "00:00:00")),
            max_polling_interval=seconds(queues.get("maxPollingInterval", "00:01:00")),
            message_encoding=queues.get("messageEncoding", default.message_encoding),
        ),
        route_prefix=extensions.get("http", {}).get("routePrefix", "api").strip("/"),
        function_timeout=DEFAULT_FUNCTION_TIMEOUT if timeout is None else None if timeout == "-1" else seconds(timeout),
    )


def seconds(text: str) -> float:
    """Return the seconds of a .NET TimeSpan, `[d.]hh:mm:ss[.fffffff]`. Raises ValueError."""
    match = TIME_SPAN.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a time span of the form hh:mm:ss")
    days, hours, minutes, whole, fraction = match.groups()
    if int(hours) > 23 or int(minutes) > 59 or int(whole) > 59:
        raise ValueError(f"{text!r} is not a time span: hours go to 23, minutes and seconds to 59")
    return int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + int(whole) + float(f"0.{fraction or 0}")
