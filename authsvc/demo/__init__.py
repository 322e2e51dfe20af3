"""
The service shown on one page: beside it a made-up web app whose users log in and chat, and the sandbox in the vendor's
place. Nothing of the service needs this room. May import `app`, `server` and the rooms below them.
"""
