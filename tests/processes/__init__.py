"""Tests that start processes, or take their time."""
