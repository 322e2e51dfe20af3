"""Tests of `authsvc/server`."""
