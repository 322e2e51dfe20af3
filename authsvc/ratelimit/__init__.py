"""
How many requests a user and app may make: counted in the worker, reconciled with the store in the background.

May import `stores` and the floor.
"""
