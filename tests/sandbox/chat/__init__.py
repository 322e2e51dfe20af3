"""Tests of what pages do with each other."""
