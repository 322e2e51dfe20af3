"""Made-up names and secrets. Every name in CANARIES must never be seen in any output of the suite."""

APPKEY = "0123456789abcdef01234567"
OTHER_APPKEY = "89abcdef0123456789abcdef"

MASTER_SECRET = "canary5ec0re0000000000ab"
OTHER_MASTER_SECRET = "canary5ec1re1111111111cd"
JWT_KEY = "canary-jwt-key-2222222222222222222222222222"
SESSION_KEY = "canary-session-key-3333333333333333"
GATEWAY_SECRET = "canary-gateway-secret-4444444444"
VERIFIER_KEY = "canary-verifier-key-55555555555"

ACCOUNT_KEY = "canary-account-key-66666666666666666"

CANARIES = (
    MASTER_SECRET,
    OTHER_MASTER_SECRET,
    JWT_KEY,
    SESSION_KEY,
    GATEWAY_SECRET,
    VERIFIER_KEY,
    ACCOUNT_KEY,
)
