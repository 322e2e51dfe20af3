"""
What operators see: access log, metrics, traces, health, and the periodic threads that write them.

`structlog`, `orjson`, `prometheus_client` and `opentelemetry` are known here alone. May import `payloads`, `client`,
`ratelimit`, `stores` and the floor.
"""
