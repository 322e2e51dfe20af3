"""
The vendor's REST API, one module a subject; each has a table of the calls that it answers.

A call is a function from `Asked` to the status and the body of its answer; it raises `Wrong`. `calls` is what all of
them have in common, and knows HTTP; so does `files`, where uploads come in and files go out. They stand on `chat`, so
that what a back end does reaches the pages as what another page does.
"""
