"""
A Django app: `python django_app.py PORT FOLDER ENGINE`, where the engine of its sessions is a module's name.

A ban ends the user, not the session: a signed cookie is nowhere on the server.
"""

import os
import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application

port, folder, engine = sys.argv[1:]
apps = ("auth", "contenttypes")
settings.configure(
    SECRET_KEY="made-up-secret-of-the-app-0123456789abcdef",
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[f"django.contrib.{app}" for app in apps],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder}/users.db"}},
    MIGRATION_MODULES=dict.fromkeys(apps),  # the tables as they are now, without their history
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    SESSION_ENGINE=engine,
    SESSION_FILE_PATH=folder,
)
django.setup()

from django.contrib.auth import login  # noqa: E402 -- models are there once it is set up
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402

call_command("migrate", run_syncdb=True, verbosity=0)


def log_in(request: HttpRequest) -> HttpResponse:
    user, _ = User.objects.get_or_create(username=request.GET["user"])
    login(request, user)
    return HttpResponse(status=204)


def ban(request: HttpRequest) -> HttpResponse:
    User.objects.filter(username=request.GET["user"]).update(is_active=False)
    return HttpResponse(status=204)


urlpatterns = [path("login", log_in), path("ban", ban)]
exec(Path(os.environ["CODE"]).read_text())  # noqa: S102 -- the page's own code


class Server(ThreadingMixIn, WSGIServer):
    """One thread a connection."""

    daemon_threads = True


make_server("127.0.0.1", int(port), get_wsgi_application(), Server).serve_forever()
