"""A worker process on the real runtime engine: it loads function_app.py as Azure does, and runs what it is told to.

    PYTHONPATH=.local/runtime PYTHON -m tests.runtime.driver FOLDER

The first line that it writes is the functions that the engine found; then each line of stdin is one invocation and is
answered with one line. An app lists its functions once in a process, so every test of another Python starts another.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import azure_functions_runtime as engine

from tests.runtime.protocol import messages

Json = dict[str, Any]
PROTOS = messages()


async def load(folder: str) -> list[Json]:
    """Start the engine on the app of a folder, and return its functions: name, id and bindings."""
    os.chdir(folder)
    sys.path.insert(0, folder)
    asked = PROTOS.WorkerInitRequest(host_version="4.0", function_app_directory=folder)
    _check((await engine.worker_init_request(_request(worker_init_request=asked))).result)
    engine.start_threadpool_executor()
    listed = await engine.functions_metadata_request(_request())
    _check(listed.result)
    for function in listed.function_metadata_results:
        asked = PROTOS.FunctionLoadRequest(function_id=function.function_id, metadata=function)
        _check((await engine.function_load_request(_request(function_load_request=asked))).result)
    return [
        {"name": f.name, "id": f.function_id, "bindings": [json.loads(raw) for raw in f.raw_bindings]}
        for f in listed.function_metadata_results
    ]


async def invoke(invocation: Json) -> Json:
    """Run one function and return {"error": ...} or {"http": ...}, which is None where the function returns nothing."""
    asked = PROTOS.InvocationRequest(
        invocation_id=str(uuid.uuid4()),
        function_id=invocation["id"],
        input_data=[PROTOS.ParameterBinding(name=invocation["parameter"], data=_typed(invocation["data"]))],
        trigger_metadata={name: _typed(value) for name, value in invocation["metadata"].items()},
        trace_context=PROTOS.RpcTraceContext(),
        retry_context=PROTOS.RetryContext(),
    )
    answer = await engine.invocation_request(_request(invocation_request=asked))
    if answer.result.status != PROTOS.StatusResult.Success:
        return {"error": f"{answer.result.exception.message}\n{answer.result.exception.stack_trace}"}
    if not answer.HasField("return_value"):
        return {"http": None}
    http = answer.return_value.http
    body = base64.b64encode(http.body.bytes).decode()
    return {"http": {"status": int(http.status_code), "headers": dict(http.headers), "body": body}}


def _request(**parts: Any) -> SimpleNamespace:
    properties = {"host": "127.0.0.1", "protos": PROTOS}
    return SimpleNamespace(request=SimpleNamespace(**parts), properties=properties)


def _typed(value: Json) -> Any:
    """Return {"string": text}, {"json": value} or {"http": request} as the message that the host would send."""
    ((kind, content),) = value.items()
    if kind == "json":
        return PROTOS.TypedData(json=json.dumps(content))
    if kind == "http":
        body = PROTOS.TypedData(bytes=base64.b64decode(content.pop("body")))
        return PROTOS.TypedData(http=PROTOS.RpcHttp(body=body, **content))
    return PROTOS.TypedData(string=content)


def _check(result: Any) -> None:
    if result.status != PROTOS.StatusResult.Success:
        raise SystemExit(f"{result.exception.message}\n{result.exception.stack_trace}")


def _lines() -> Iterator[str]:
    # Not by iterating over the file, which reads ahead.
    while line := sys.stdin.readline():
        yield line


async def main() -> None:
    """Serve until stdin ends."""
    # What the app prints goes to the log; the pipe is for answers.
    with os.fdopen(os.dup(1), "w", buffering=1) as pipe:
        os.dup2(2, 1)
        print(json.dumps(await load(sys.argv[1])), file=pipe)
        for line in _lines():
            print(json.dumps(await invoke(json.loads(line))), file=pipe)
    engine.stop_threadpool_executor()


if __name__ == "__main__":
    asyncio.run(main())
