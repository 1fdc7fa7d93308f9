"""The functions of function_app.py, as the host sees them: a name, bindings, and something to call."""

import inspect
import json
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import azure.functions as func

SETTING = re.compile(r"%([^%]+)%")


@dataclass(frozen=True)
class HostedFunction:
    """One function; bindings are those of its function.json."""

    name: str
    bindings: tuple[Mapping[str, Any], ...]
    call: Callable[..., Any]

    @classmethod
    def of(cls, function: Any) -> "HostedFunction":
        """Read an azure.functions Function."""
        bindings = json.loads(function.get_function_json())["bindings"]
        return cls(function.get_function_name(), tuple(bindings), function.get_user_function())

    @property
    def triggers(self) -> list[Mapping[str, Any]]:
        """The bindings that start the function; a healthy function has one."""
        return [binding for binding in self.bindings if binding["type"].lower().endswith("trigger")]

    @property
    def trigger(self) -> Mapping[str, Any]:
        """The one trigger."""
        return self.triggers[0]

    def is_a(self, trigger_type: str) -> bool:
        """Whether the trigger is of a type, as `queueTrigger`."""
        return bool(self.trigger["type"] == trigger_type)

    def invoke(self, value: object) -> Any:
        """Call the function with its trigger's value, and a context when it asks for one."""
        arguments = {self.trigger["name"]: value}
        if "context" in inspect.signature(self.call).parameters:
            arguments["context"] = Context(self.name)
        return self.call(**arguments)


class Context(func.Context):
    """What a function may ask about its own invocation."""

    def __init__(self, function_name: str) -> None:
        self._function_name = function_name
        self._invocation_id = str(uuid.uuid4())

    @property
    def invocation_id(self) -> str:
        """A new id for every call."""
        return self._invocation_id

    @property
    def thread_local_storage(self) -> type[threading.local]:
        """Storage of threads that log for an invocation; unused here."""
        return threading.local

    @property
    def function_name(self) -> str:
        """The function's name."""
        return self._function_name

    @property
    def function_directory(self) -> str:
        """The project's folder."""
        return str(Path.cwd())

    @property
    def trace_context(self) -> Any:
        """None: read the traceparent header."""
        return None

    @property
    def retry_context(self) -> Any:
        """None: the local host has no retry policies."""
        return None


def resolve(text: str, environment: Mapping[str, str]) -> str:
    """Replace each %NAME% with that setting; an unknown one stays, for the rules to refuse."""
    return SETTING.sub(lambda match: environment.get(match[1], match[0]), text)
