"""authsvc signs JMessage Web SDK auth payloads for logged-in users and keeps the masterSecret on the server."""

__version__ = "0.1.0"
