"""
Back ends in front of nothing: real apps, each with sessions or tokens that only it can read, started by tests.

Each logs a user in at `POST /login?user=…`, bans one at `POST /ban?user=…` by ending what was given, and answers
`GET /auth/check` as docs/login.md shows it. Those that an app has in another language lie beside this file.
"""
