"""
The settings: their model, the loader for the environment and for files, and the watcher of changed files.

Each value is checked by the room that uses it, so this room is above those. `pydantic` is known here, and in
`secret`. May import `auth`, `payloads`, `vendor`, `ratelimit`, `stores`, `telemetry` and the floor.
"""
