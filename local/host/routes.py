"""HTTP routes with the semantics of the Functions host."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from local.host.functions import HostedFunction

METHODS = ("GET", "POST", "DELETE", "HEAD", "PATCH", "PUT", "OPTIONS")
PARAMETER = re.compile(r"^\{(\*?)([A-Za-z_]\w*)\}$")


@dataclass(frozen=True)
class Route:
    """One template with the methods it answers."""

    function: HostedFunction
    template: str  # with the prefix, without slashes at the ends
    methods: frozenset[str]

    @classmethod
    def of(cls, function: HostedFunction, prefix: str) -> "Route":
        """Read the HTTP trigger of a function; no methods given means all of them."""
        route = str(function.trigger.get("route") or function.name).strip("/")
        methods = function.trigger.get("methods") or METHODS
        return cls(function, f"{prefix}/{route}".strip("/"), frozenset(str(m).upper() for m in methods))

    @property
    def segments(self) -> list[str]:
        """The template, split at slashes."""
        return self.template.split("/")

    def faults(self) -> list[str]:
        """Segments that this host does not understand."""
        return [s for s in self.segments if ("{" in s or "}" in s) and PARAMETER.match(s) is None]

    def shape(self) -> str:
        """The template without its parameters' names: two routes of one shape answer the same paths."""
        return "/".join(PARAMETER.sub(r"{\1}", segment).lower() for segment in self.segments)

    def match(self, path: str) -> dict[str, str] | None:
        """Return the route parameters of a raw (still percent-encoded) path, or None. Literals match in any case."""
        parts = path.strip("/").split("/")
        found: dict[str, str] = {}
        for position, segment in enumerate(self.segments):
            parameter = PARAMETER.match(segment)
            if parameter and parameter[1]:
                found[parameter[2]] = "/".join(unquote(part) for part in parts[position:])
                return found
            if position >= len(parts):
                return None
            if parameter and parts[position]:
                found[parameter[2]] = unquote(parts[position])
            elif parameter or segment.lower() != unquote(parts[position]).lower():
                return None
        return found if len(parts) == len(self.segments) else None


def in_order(functions: Iterable[HostedFunction], prefix: str) -> list[Route]:
    """All routes, in the order in which the real host tries them: by function name."""
    http = [function for function in functions if function.is_a("httpTrigger")]
    return [Route.of(function, prefix) for function in sorted(http, key=lambda function: function.name.lower())]


def find(routes: Sequence[Route], method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """Return the first route that answers; a known path with another method is found nowhere: a 404, no 405."""
    for route in routes:
        parameters = route.match(path) if method in route.methods else None
        if parameters is not None:
            return route, parameters
    return None
