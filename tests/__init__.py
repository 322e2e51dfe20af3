"""The suite mirrors authsvc/: one test module a module."""
