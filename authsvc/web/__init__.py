"""
HTTP: one handler for each route, and two doors that call it.

A handler is a function from a `Request` to an `Answer`. `flask_app` creates the app that `create_app` returns, with all
features of Flask; `direct` calls the same handlers without Flask. Both start and finish a request by `lifecycle`. May
import every other room except `server`, `settings` and `sandbox`; `app` and the rooms above it import this one.
"""
