"""Tests of `authsvc/auth`."""
