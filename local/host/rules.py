"""What the real Functions host refuses or silently drops: checked before the first message is taken."""

import inspect
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from local.host import hostjson
from local.host.functions import SETTING, HostedFunction, resolve
from local.host.routes import Route, in_order
from local.host.schedules import Schedule

FUNCTION_NAME = re.compile(r"^(?!host$)[A-Za-z][\w-]{0,127}$", re.IGNORECASE | re.ASCII)
QUEUE_NAME = re.compile(r"^(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*$")
TRIGGERS = ("httpTrigger", "queueTrigger", "timerTrigger")
AUTH_LEVELS = ("ANONYMOUS", "FUNCTION", "ADMIN")
HOST_KEYS = {
    *("version", "functionTimeout", "logging", "extensions", "extensionBundle", "aggregator", "concurrency"),
    *("customHandler", "healthMonitor", "managedDependency", "retry", "singleton", "telemetryMode"),
    *("watchDirectories", "watchFiles"),
}
QUEUE_NUMBERS = {"batchSize": (1, 32), "newBatchThreshold": (0, 1000), "maxDequeueCount": (1, 100)}  # lowest, highest
QUEUE_KEYS = {*QUEUE_NUMBERS, "visibilityTimeout", "maxPollingInterval", "messageEncoding"}


def check(functions: Sequence[Any], host_json: Mapping[str, Any], environment: Mapping[str, str]) -> list[str]:
    """Return one sentence for each thing that is wrong: what, where, and what to do. Empty: the host may start."""
    hosted = [HostedFunction.of(function) for function in functions]
    sentences = [*_host_json(host_json), *_names(hosted)]
    for function in hosted:
        sentences += _function(function, environment)
    if not sentences:
        sentences += _routes(in_order(hosted, hostjson.parse(host_json).route_prefix))
    return sentences


def _names(functions: Sequence[HostedFunction]) -> Iterator[str]:
    for function in functions:
        if not FUNCTION_NAME.match(function.name):
            yield (
                f"The function name '{function.name}' is not allowed: begin with a letter, go on with up to 127 "
                "letters, digits, '_' or '-', and do not call it 'host'."
            )
    counts = Counter(function.name.lower() for function in functions)
    for name, count in counts.items():
        if count > 1:
            yield f"{count} functions are named '{name}' and Azure would load none of the app: give each its own name."


def _function(function: HostedFunction, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the faults of a function; without one trigger of a known type, no other rule can be asked."""
    types = [trigger["type"] for trigger in function.triggers]
    if len(types) != 1:
        yield f"Function '{function.name}' has {len(types)} triggers: a function has exactly one."
        return
    if types[0] not in TRIGGERS:
        yield f"Function '{function.name}' has a {types[0]}; this host supports {', '.join(TRIGGERS)}."
        return
    if function.is_a("httpTrigger"):
        level = str(function.trigger.get("authLevel") or "FUNCTION").upper()
        if level not in AUTH_LEVELS:
            yield f"Function '{function.name}' has auth level '{level}': use one of {', '.join(AUTH_LEVELS)}."
    elif function.is_a("queueTrigger"):
        yield from _queue(function, environment)
    else:
        text = function.trigger["schedule"]
        yield from _settings(function, text, environment)
        try:
            Schedule.parse(resolve(text, environment))
        except ValueError as error:
            yield f"Timer function '{function.name}' has a wrong schedule: {error}. Write it as '*/30 * * * * *'."
    yield from _signature(function)


def _queue(function: HostedFunction, environment: Mapping[str, str]) -> Iterator[str]:
    name, connection = function.trigger["queueName"], function.trigger["connection"]
    yield from _settings(function, name, environment)
    if not QUEUE_NAME.match(resolve(name, environment)):
        yield (
            f"Function '{function.name}' listens to '{name}', which is not a valid queue name: use 3 to 63 "
            "lower-case letters, digits and single dashes."
        )
    forms = (connection, f"AzureWebJobs{connection}", f"{connection}__queueServiceUri", f"{connection}__accountName")
    if not any(environment.get(form) for form in forms):
        yield (
            f"Function '{function.name}' needs the connection setting '{connection}', which is not in the environment: "
            f"set {connection} to a connection string, or {forms[2]} and an identity."
        )
    outputs = [b["name"] for b in function.bindings if str(b.get("direction", "")).upper() == "OUT"]
    if outputs:
        yield (
            f"Queue function '{function.name}' has an output binding ({', '.join(outputs)}): a message would be sent "
            "although the transaction may not have been committed. Send it in code."
        )


def _signature(function: HostedFunction) -> Iterator[str]:
    if inspect.iscoroutinefunction(function.call):
        yield f"Function '{function.name}' is async, which this host does not run: write it with plain def."
    signature = inspect.signature(function.call)
    given, bound = set(signature.parameters) - {"context"}, {b["name"] for b in function.bindings} - {"$return"}
    for name in sorted(given ^ bound):
        where = "no binding" if name in given else "no parameter"
        yield f"Function '{function.name}' has {where} named '{name}': parameters are named as bindings are."
    returns = signature.return_annotation
    if not function.is_a("httpTrigger") and returns not in (None, "None", signature.empty):
        yield f"Function '{function.name}' returns a value that nothing takes: only an HTTP function returns; use None."


def _settings(function: HostedFunction, text: str, environment: Mapping[str, str]) -> Iterator[str]:
    for name in SETTING.findall(text):
        if name not in environment:
            yield f"Function '{function.name}' uses %{name}%, but the setting {name} does not exist: set it."


def _routes(routes: Sequence[Route]) -> Iterator[str]:
    taken: dict[tuple[str, str], str] = {}
    for route in routes:
        name, own = route.function.name, str(route.function.trigger.get("route") or route.function.name)
        if own.strip("/").lower().startswith(("admin", "runtime")):
            yield f"Function '{name}' has the route '{own}': routes may not begin with 'admin' or 'runtime'."
        for segment in route.faults():
            yield f"Function '{name}' has the route segment '{segment}': this host supports {{name}} and {{*rest}}."
        for method in sorted(route.methods):
            other = taken.setdefault((method, route.shape()), name)
            if other != name:
                yield f"Functions '{other}' and '{name}' both answer {method} {route.template}: change one of them."


def _host_json(raw: Mapping[str, Any]) -> Iterator[str]:
    if raw.get("version") != "2.0":
        yield f'host.json has version {raw.get("version")!r}: write "version": "2.0".'
    for key in sorted(set(raw) - HOST_KEYS):
        yield f"host.json has the key '{key}', which the host ignores: remove or correct it."
    if raw.get("functionTimeout", "-1") != "-1":
        yield from _time_span("functionTimeout", raw["functionTimeout"], 1, 86400 * 7)
    extensions = raw.get("extensions", {})
    if not isinstance(extensions.get("http", {}).get("routePrefix", "api"), str):
        yield "host.json: extensions.http.routePrefix must be a string."
    queues = extensions.get("queues", {})
    for key, value in queues.items():
        if key not in QUEUE_KEYS:
            yield f"host.json: extensions.queues has the key '{key}', which the host ignores: remove or correct it."
        lowest, highest = QUEUE_NUMBERS.get(key, (0, 0))
        if key in QUEUE_NUMBERS and not (type(value) is int and lowest <= value <= highest):
            yield f"host.json: extensions.queues.{key} is {value!r}: use a whole number from {lowest} to {highest}."
    yield from _time_span("extensions.queues.visibilityTimeout", queues.get("visibilityTimeout", "00:00:00"), 0, 604800)
    yield from _time_span(
        "extensions.queues.maxPollingInterval", queues.get("maxPollingInterval", "00:01:00"), 0.1, 3600
    )
    if queues.get("messageEncoding", "base64") not in ("base64", "none"):
        yield "host.json: extensions.queues.messageEncoding must be 'base64' or 'none'."


def _time_span(key: str, text: object, lowest: float, highest: float) -> Iterator[str]:
    try:
        value = hostjson.seconds(str(text))
    except ValueError as error:
        yield f"host.json: {key}: {error}."
        return
    if not lowest <= value <= highest:
        yield f"host.json: {key} is {text}: use {lowest:g} to {highest:g} seconds."
