"""
Requests to other services: one bounded HTTP request, its proxy, the look-up of names, and what protects this service
from one that hangs (bulkhead, circuit breaker, one log line for each change of availability).

`urllib3` is known here alone. May import the floor.
"""
