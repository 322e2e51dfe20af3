"""Tests of the project around the code: its shape, its documents, its files."""
