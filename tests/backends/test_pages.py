"""
The pages of docs/backends/: apps whose logins authsvc reads by itself, and every set of settings.

Those that it asks are in `tests/auth/test_ask_app.py`, two of them in Chromium in `tests/browser/test_app_login.py`.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import jwt
import pytest
from flask import Flask

from authsvc.app import create_app
from authsvc.settings import loader
from authsvc.settings.model import Settings
from authsvc.stores.store import Store
from tests.backends import running as backends
from tests.support import made_up
from tests.support.docs import ENGLISH, Block
from tests.support.node import run_node

ISSUE = "/v1/auth-payload"
PAGES = [page for page in ENGLISH.pages if page.name.startswith("docs/backends/")]
SETTINGS = [(page, block) for page in PAGES for block in page.blocks if backends.is_settings(block)]


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The folder that stands for /etc/secrets."""
    for name, text in (backends.SECRETS | {"master-secret": made_up.MASTER_SECRET}).items():
        (tmp_path / name).write_text(f"{text}\n")
    return tmp_path


@pytest.fixture
def serve(store: Store, secrets: Path) -> Iterator[Callable[[Mapping[str, str]], Flask]]:
    """Make a service of the settings that a page shows."""
    apps: list[Flask] = []

    def serve(settings: Mapping[str, str]) -> Flask:
        given = {"AUTHSVC_APPKEY": made_up.APPKEY, "AUTHSVC_MASTER_SECRET_FILE": str(secrets / "master-secret")}
        apps.append(create_app(loader.load({**given, **settings}, Settings), store=store))
        return apps[-1]

    yield serve
    for app in apps:
        app.extensions["authsvc"].stop()


def test_there_is_a_page_for_each() -> None:
    """Every page has a back end that runs its code."""
    run = {app.page for app in (backends.ASKED | backends.READ).values()}
    assert {page.name.removeprefix("docs/backends/").removesuffix(".md") for page in PAGES} == run


@pytest.mark.parametrize(("page", "block"), SETTINGS, ids=lambda value: getattr(value, "name", ""))
def test_every_set_of_settings_is_accepted(
    page: object, block: Block, serve: Callable[[Mapping[str, str]], Flask], secrets: Path
) -> None:
    """By itself: it is all that has to be set for its way of logging in."""
    assert serve(block.exports(secrets)).test_client().post(ISSUE).status_code == 401


@pytest.mark.parametrize("name", backends.READ)
def test_users_whose_logins_are_read(name: str, serve: Callable[[Mapping[str, str]], Flask], secrets: Path) -> None:
    """They get payloads, also while the app is down; nobody else does."""
    with backends.running(name, secrets) as backend:
        user = backend.log_in("ming")
    client = serve(backend.settings).test_client(use_cookies=False)
    (header,) = user
    for stranger in ({}, {header: f"{user[header][:-5]}xyzxy"}):
        assert client.post(ISSUE, headers=stranger).status_code == 401
    assert client.post(ISSUE, headers=user).status_code == 200


def test_a_token_of_node(serve: Callable[[Mapping[str, str]], Flask], secrets: Path) -> None:
    """As jsonwebtoken signs it."""
    app = backends.App(lambda *_: [], "express", "js", "jwt.sign")
    key = f'require("node:fs").readFileSync({str(secrets / "jwt-key")!r}, "utf8").trim()'
    names = f'const jwt = require("jsonwebtoken"), user = {{ id: 7 }}, key = {key};'
    token = run_node("-", text=f"{names}{app.code(secrets)}process.stdout.write(token)")
    headers = {"Authorization": f"Bearer {token}"}
    assert serve(app.settings(secrets)).test_client().post(ISSUE, headers=headers).status_code == 200


@pytest.mark.parametrize(("token_type", "status"), [("access", 200), ("refresh", 401)])
def test_tokens_of_django_rest_framework(
    token_type: str, status: int, serve: Callable[[Mapping[str, str]], Flask], secrets: Path
) -> None:
    """With the claims that the documentation of simplejwt shows."""
    (block,) = ENGLISH.page("backends/django").find("sh", "AUTHSVC_JWT_USER_CLAIM")
    claims = {"token_type": token_type, "exp": time.time() + 300, "iat": time.time(), "jti": "0" * 32, "user_id": "7"}
    token = jwt.encode(claims, made_up.JWT_KEY, algorithm="HS256")
    answer = serve(block.exports(secrets)).test_client().post(ISSUE, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == status
