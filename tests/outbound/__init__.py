"""Tests of `authsvc/outbound`."""
