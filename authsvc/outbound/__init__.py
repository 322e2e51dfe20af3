"""
Requests to others: one bounded HTTP request, the proxy that it takes, names that are looked up, and what keeps a hung
service from taking this one along (bulkhead, circuit breaker, one log line for each change of availability).

`urllib3` is known here alone. May import the floor.
"""
