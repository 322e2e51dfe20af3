"""Tests of deploy/: each file there is started or validated by one of them."""
