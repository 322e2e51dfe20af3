"""
HTTP in, HTTP out: one handler for each route, and two doors that call it.

A handler is a function from a `Request` to an `Answer`. `flask_app` makes the app that `create_app` returns, with all
that Flask gives; `direct` calls the same handlers without Flask. Both begin and finish a request by `lifecycle`. May
import every other room but `server`, `settings` and `sandbox`, and is imported by `app` and what stands above it.
"""
