"""A FastAPI app with Starlette's sessions, in a signed cookie: `python fastapi_app.py PORT FOLDER`."""

import os
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.middleware.base import RequestResponseEndpoint
from starlette.middleware.sessions import SessionMiddleware

app = FastAPI()
banned: set[str] = set()


@app.middleware("http")
async def end_sessions(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Of users who are banned."""
    if request.session.get("user_id") in banned:
        request.session.clear()
    return await call_next(request)


app.add_middleware(SessionMiddleware, secret_key="made-up-secret-of-the-app")  # the outer one


@app.post("/login", status_code=204)
def login(request: Request, user: str) -> None:
    request.session["user_id"] = user


@app.post("/ban", status_code=204)
def ban(user: str) -> None:
    banned.add(user)


exec(Path(os.environ["CODE"]).read_text())  # noqa: S102 -- the page's own code
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
