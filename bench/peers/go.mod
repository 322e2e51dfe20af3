module authsvc-bench

go 1.19
