"""
The rate limit: requests of a user and app, counted in the worker and reconciled with the store in the background.

May import `stores` and the floor.
"""
