"""The made-up app and secrets that all servers of the benchmark are given."""

APPKEY = "4f7b2c1d9e8a3056b1c2d3e4"
MASTER_SECRET = "bench-master-secret-0000"
JWT_KEY = "bench-jwt-key-11111111111111111111111111"
VERIFIER_KEY = "bench-verifier-key-22222222222222"
GATEWAY_SECRET = "bench-gateway-secret-333333333333"
SESSION_KEY = "bench-session-key-44444444444444"
