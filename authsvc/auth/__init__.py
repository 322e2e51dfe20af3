"""
Authentication: each way of logging in, the order in which they are tried, and the same-site rule for cookies.

`jwt` and `itsdangerous` are known here alone. May import `outbound`, `stores` and the floor.
"""
