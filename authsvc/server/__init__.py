"""
How the service is run: gunicorn or granian, workers, sockets, the drain before a stop.

All that knows the inside of a server is here. May import `app`, `telemetry` and the floor (`errors`, `clock`, `ids`,
`secret`).
"""
