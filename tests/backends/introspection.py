"""
Opaque tokens of an OAuth 2 server, with the adapter that introspects them (RFC 7662): `python introspection.py PORT`.
"""

import secrets
import sys
from collections.abc import Mapping

import requests
from flask import Flask, request

app = Flask(__name__)
port = int(sys.argv[1])
tokens: dict[str, str] = {}


@app.post("/login")
def login() -> Mapping[str, str]:
    token = secrets.token_urlsafe()
    tokens[token] = request.args["user"]
    return {"access_token": token}


@app.post("/ban")
def ban() -> tuple[str, int]:
    tokens.clear()
    return "", 204


@app.post("/introspect")
def introspect() -> Mapping[str, object]:
    assert request.authorization is not None
    assert request.authorization.password == "made-up-client-secret"
    token = request.form["token"]
    return {"active": token in tokens, "sub": tokens.get(token)}


@app.get("/auth/check")
def auth_check() -> tuple[str, int, dict[str, str]]:
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    client = ("authsvc", "made-up-client-secret")
    url = f"http://127.0.0.1:{port}/introspect"
    told = requests.post(url, data={"token": token}, auth=client, timeout=60).json()
    return ("", 200, {"X-User": told["sub"]}) if told["active"] else ("", 401, {})


app.run("127.0.0.1", port, threaded=True)
