"""The benchmark: authsvc beside what people would write in its place. README.md tells how to run and read it."""
