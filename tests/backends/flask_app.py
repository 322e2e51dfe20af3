"""A Flask app whose sessions Flask-Session keeps in files on the server: `python flask_app.py PORT FOLDER`."""

import os
import sys
from pathlib import Path

from cachelib import FileSystemCache
from flask import Flask, request, session
from flask_session import Session

app = Flask(__name__)
port, folder = sys.argv[1:]
cache = FileSystemCache(folder)
app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=cache)
Session(app)


@app.post("/login")
def login() -> tuple[str, int]:
    session["user_id"] = request.args["user"]
    return "", 204


@app.post("/ban")
def ban() -> tuple[str, int]:
    cache.clear()
    return "", 204


exec(Path(os.environ["CODE"]).read_text())  # noqa: S102 -- the page's own code
app.run("127.0.0.1", int(port), threaded=True)
