"""Tests of `authsvc/vendor`."""
