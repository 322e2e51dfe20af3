"""Tests of `authsvc/payloads`."""
