"""Tests of `authsvc/settings`."""
