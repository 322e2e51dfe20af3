"""Plain Flask and PyJWT, as most people would write it."""

import hashlib
import os
import secrets
import time

import jwt
from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

APPKEY = os.environ["APPKEY"]
MASTER_SECRET = os.environ["MASTER_SECRET"]
JWT_KEY = os.environ["JWT_KEY"]

app = Flask(__name__)


@app.post("/v1/auth-payload")
def auth_payload() -> ResponseReturnValue:
    """Answer a logged-in user with a signed payload."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer":
        return jsonify(message="log in first"), 401
    try:
        jwt.decode(token, JWT_KEY, algorithms=["HS256"], options={"require": ["exp", "sub"]})
    except jwt.InvalidTokenError:
        return jsonify(message="the token is bad"), 401
    random_str = secrets.token_hex(16)
    timestamp = str(time.time_ns() // 1_000_000)
    text = f"appkey={APPKEY}&timestamp={timestamp}&random_str={random_str}&key={MASTER_SECRET}"
    signature = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    response = jsonify(appkey=APPKEY, random_str=random_str, signature=signature, timestamp=timestamp)
    response.headers["Cache-Control"] = "no-store"
    return response
