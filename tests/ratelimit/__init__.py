"""Tests of `authsvc/ratelimit`."""
