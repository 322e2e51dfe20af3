"""
The service, with a path that shows the environment of the worker and of the request. Started in place of `authsvc`.
"""

import json
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask

from authsvc.__main__ import main
from authsvc.app import create_app
from authsvc.server import runner

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def create(**options: Any) -> Flask:
    """Return the app."""
    app = create_app(**options)
    answer = app.wsgi_app

    def showing(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/environment":
            return answer(environ, start_response)
        shown = {"os.environ": dict(os.environ), "request": {name: str(value) for name, value in environ.items()}}
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(shown).encode()]

    app.wsgi_app = showing  # type: ignore[method-assign] # Flask's documentation has it so
    app.extensions["authsvc.direct"] = showing  # by which `authsvc serve` calls it
    return app


if __name__ == "__main__":
    runner.create_app = create  # type: ignore[attr-defined, assignment] # the one that it calls
    main()
