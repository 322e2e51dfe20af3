"""The benchmark: authsvc beside what people would write in its place. `make bench` runs it; README.md tells the rest."""
