"""
The settings: their model, how they are read from the environment and from files, and how changed files are seen.

Each value is checked by the room that it is for, so this room stands above those. `pydantic` is known here, and in
`secret`. May import `auth`, `payloads`, `vendor`, `ratelimit`, `stores`, `telemetry` and the floor.
"""
