"""FastAPI and PyJWT."""

import hashlib
import os
import secrets
import time
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, HTTPException, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

APPKEY = os.environ["APPKEY"]
MASTER_SECRET = os.environ["MASTER_SECRET"]
JWT_KEY = os.environ["JWT_KEY"]

app = FastAPI()
bearer = HTTPBearer()


class AuthPayload(BaseModel):
    """The four fields that a page gives to `JIM.init`."""

    appkey: str
    random_str: str
    signature: str
    timestamp: str


async def user(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> str:
    """Return the user of the request's token."""
    try:
        claims = jwt.decode(credentials.credentials, JWT_KEY, algorithms=["HS256"], options={"require": ["exp", "sub"]})
    except jwt.InvalidTokenError:
        raise HTTPException(status_code=401, detail="log in first") from None
    return str(claims["sub"])


@app.post("/v1/auth-payload")
async def auth_payload(_user: Annotated[str, Depends(user)], response: Response) -> AuthPayload:
    """Answer a logged-in user with a signed payload."""
    random_str = secrets.token_hex(16)
    timestamp = str(time.time_ns() // 1_000_000)
    text = f"appkey={APPKEY}&timestamp={timestamp}&random_str={random_str}&key={MASTER_SECRET}"
    signature = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    response.headers["Cache-Control"] = "no-store"
    return AuthPayload(appkey=APPKEY, random_str=random_str, signature=signature, timestamp=timestamp)
