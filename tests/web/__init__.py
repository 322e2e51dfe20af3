"""Tests of `authsvc/web`."""
