"""
The auth payload: sign, issue, verify; and the apps whose masterSecrets sign.

Pure, except for the claim in the store. May import `stores` and the floor.
"""
