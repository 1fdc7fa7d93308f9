# ruff: noqa: ARG001 - a parameter is named by its binding, used or not
"""A function app of the host's own tests: every trigger, and every way to misbehave.

What a function did is appended to a file in the folder TINY_OUT, since its process ends with the host.
"""

import os
import time
from pathlib import Path

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


def note(name: str, text: str) -> None:
    with (Path(os.environ["TINY_OUT"]) / name).open("a") as file:
        file.write(text + "\n")


@app.route(route="greet/{name}", methods=["GET"])
def greet(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(f"{req.route_params['name']} {req.params.get('tone', '')} {req.url}")


@app.route(route="echo", methods=["POST"])
def echo(req: func.HttpRequest) -> func.HttpResponse:
    headers = {"X-Seen": req.headers.get("X-Sent", ""), "Content-Type": "application/octet-stream"}
    return func.HttpResponse(req.get_body(), status_code=201, headers=headers)


@app.route(route="pid", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def pid(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(str(os.getpid()))


@app.route(route="broken", methods=["GET"])
def broken(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError("broken on purpose")


@app.route(route="hang", methods=["GET"])
def hang(req: func.HttpRequest) -> func.HttpResponse:
    time.sleep(60)
    return func.HttpResponse()


@app.queue_trigger(arg_name="message", queue_name="tiny-work", connection="AzureWebJobsStorage")
def on_work(message: func.QueueMessage) -> None:
    text = message.get_body().decode()
    note("work", f"{text} {message.dequeue_count}")
    if text == "fail":
        raise RuntimeError("failed on purpose")


@app.queue_trigger(arg_name="message", queue_name="tiny-work-poison", connection="AzureWebJobsStorage")
def on_work_poison(message: func.QueueMessage) -> None:
    note("poison", message.get_body().decode())


@app.queue_trigger(arg_name="message", queue_name="tiny-empty", connection="AzureWebJobsStorage")
def on_empty(message: func.QueueMessage) -> None:
    return


@app.timer_trigger(arg_name="timer", schedule="*/1 * * * * *", run_on_startup=True)
def tick(timer: func.TimerRequest) -> None:
    note("tick", str(os.getpid()))
