"""
What pages do with each other through the gateway, one module a subject; each has a table of the events it answers.

A handler is a function from a `Call` to what its answer says besides the code; it raises `Refused`. It may import
`core`, `state` and `errors`, and of the other subjects those that it stands on.
"""
