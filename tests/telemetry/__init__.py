"""Tests of `authsvc/telemetry`."""
