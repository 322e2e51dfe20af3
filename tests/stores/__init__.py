"""The stores: one contract for both, and what can go wrong with each."""
