"""
A Django app: `python django_app.py PORT FOLDER ENGINE`, where the engine of its sessions is a module's name.

A ban ends the user, not the session: a signed cookie is nowhere on the server.
"""

import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

port, folder, engine = sys.argv[1:]
settings.configure(
    SECRET_KEY="made-up-secret-of-the-app-0123456789abcdef",
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE=engine,
    SESSION_FILE_PATH=folder,
)
django.setup()
banned: set[str] = set()


def login(request: HttpRequest) -> HttpResponse:
    request.session["user_id"] = request.GET["user"]
    return HttpResponse(status=204)


def ban(request: HttpRequest) -> HttpResponse:
    banned.add(request.GET["user"])
    return HttpResponse(status=204)


def auth_check(request: HttpRequest) -> HttpResponse:
    user_id = request.session.get("user_id")
    if user_id is None or user_id in banned:
        return HttpResponse(status=401)
    return HttpResponse(headers={"X-User": user_id})


urlpatterns = [path("login", login), path("ban", ban), path("auth/check", auth_check)]


class Server(ThreadingMixIn, WSGIServer):
    """One thread a connection."""

    daemon_threads = True


make_server("127.0.0.1", int(port), get_wsgi_application(), Server).serve_forever()
