"""
The vendor's REST API: the client with its budget, bulkhead and circuit breaker; media URLs and IM accounts on it.

May import `outbound`, `payloads`, `ratelimit`, `stores` and the floor.
"""
