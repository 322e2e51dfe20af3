"""An app of which the page shows all: `python whole_app.py PORT FOLDER flask|fastapi`; who its users are is ours."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fastapi
import flask
import uvicorn

port, _, framework = sys.argv[1:]


def user_of_flask(request: flask.Request) -> str:
    return request.args["user"]


def user_of_fastapi(request: fastapi.Request) -> str:
    return request.query_params["user"]


check = user_of_flask if framework == "flask" else user_of_fastapi
names: dict[str, Any] = {"__name__": __name__, "users": SimpleNamespace(check=check)}
exec(Path(os.environ["CODE"]).read_text(), names)  # noqa: S102 -- the page's own code
if framework == "flask":
    names["app"].run("127.0.0.1", int(port), threaded=True)
else:
    uvicorn.run(names["app"], host="127.0.0.1", port=int(port), log_level="warning")
