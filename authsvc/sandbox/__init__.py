"""
A stand-in for the vendor on this machine: its gateway, its REST API and the server of its files, in one process.

`server` puts it together. A page reaches it by `new JMessage({address: "ws://127.0.0.1:PORT"})`, the service by
`AUTHSVC_VENDOR_URL`. How a payload is verified it does not know: it asks the service, as a gateway of one's own would.
May import `payloads`, `settings` and the floor.
"""
