"""Plain Flask and its own session, a signed cookie, as most people would write it."""

import hashlib
import os
import secrets
import time

from flask import Flask, jsonify, request, session
from flask.typing import ResponseReturnValue

APPKEY = os.environ["APPKEY"]
MASTER_SECRET = os.environ["MASTER_SECRET"]

app = Flask(__name__)
app.secret_key = os.environ["SESSION_KEY"]


@app.post("/login")
def login() -> ResponseReturnValue:
    """Begin a user's session."""
    session["user"] = request.get_json()["user"]
    return jsonify()


@app.post("/v1/auth-payload")
def auth_payload() -> ResponseReturnValue:
    """Answer a logged-in user with a signed payload."""
    if "user" not in session:
        return jsonify(message="log in first"), 401
    random_str = secrets.token_hex(16)
    timestamp = str(time.time_ns() // 1_000_000)
    text = f"appkey={APPKEY}&timestamp={timestamp}&random_str={random_str}&key={MASTER_SECRET}"
    signature = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    response = jsonify(appkey=APPKEY, random_str=random_str, signature=signature, timestamp=timestamp)
    response.headers["Cache-Control"] = "no-store"
    return response
