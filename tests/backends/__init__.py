"""
Back ends in front of nothing: real apps, with the code that docs/backends/ shows, started by tests.

Each logs a user in at `POST /login?user=…`; those that authsvc asks ban one at `POST /ban?user=…`, by ending
the user or what was given. Those that an app has in another language lie beside this file.
"""
