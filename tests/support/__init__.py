"""What the tests share: processes, stand-ins, keys; nothing here is a test."""
