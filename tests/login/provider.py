"""A small OpenID Connect provider on loopback: discovery, code flow with PKCE, tokens signed with
RS256, userinfo. Written from the specifications, with nothing of the library under test."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

CLIENT_ID, CLIENT_SECRET = "gateway", "only-for-tests"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Provider:
    """`person` logs in. `signed` and `told` are beside or instead of what the ID token and userinfo
    would say; `description` of what discovery would."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.signing_key = self.key
        self.header: dict[str, Any] = {"alg": "RS256", "kid": "one", "typ": "JWT"}
        self.person: dict[str, Any] = {"sub": "s-1", "preferred_username": "anna"}
        self.signed: dict[str, Any] = {}
        self.told: dict[str, Any] = {}
        self.description: dict[str, Any] = {}
        self.asked: dict[str, dict[str, str]] = {}

    def log_in(self, address: str) -> str:
        """What a browser that is sent here comes back with: the path of the callback."""
        asked = {name: one[0] for name, one in parse_qs(urlsplit(address).query).items()}
        code = secrets.token_hex(8)
        self.asked[code] = asked
        back = urlsplit(asked["redirect_uri"])
        return f"{back.path}?code={code}&state={asked['state']}"

    def answer(self, path: str, form: Mapping[str, str], token: str) -> Any:
        match path:
            case "/.well-known/openid-configuration":
                return {
                    "issuer": self.issuer,
                    "authorization_endpoint": f"{self.issuer}/authorize",
                    "token_endpoint": f"{self.issuer}/token",
                    "userinfo_endpoint": f"{self.issuer}/userinfo",
                    "jwks_uri": f"{self.issuer}/jwks",
                    "id_token_signing_alg_values_supported": ["RS256"],
                    **self.description,
                }
            case "/jwks":
                return {"keys": [self._jwk()]}
            case "/token":
                return self._token(form)
            case "/userinfo" if token == "Bearer access":
                return {**self.person, **self.told}
        return None

    def _jwk(self) -> dict[str, str]:
        numbers = self.key.public_key().public_numbers()
        n, e = (b64(x.to_bytes((x.bit_length() + 7) // 8)) for x in (numbers.n, numbers.e))
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "one", "n": n, "e": e}

    def _token(self, form: Mapping[str, str]) -> Any:
        asked = self.asked.pop(form["code"])
        challenge = b64(hashlib.sha256(form["code_verifier"].encode()).digest())
        assert (asked["code_challenge"], asked["code_challenge_method"]) == (challenge, "S256")
        assert asked["redirect_uri"] == form["redirect_uri"]
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": int(time.time()),
            "exp": int(time.time()) + 300,
            "nonce": asked["nonce"],
            "sub": self.person["sub"],
            **self.signed,
        }
        return {
            "access_token": "access",
            "token_type": "Bearer",
            "expires_in": 300,
            "id_token": self._sign(claims),
        }

    def _sign(self, claims: Mapping[str, Any]) -> str:
        signed = f"{b64(json.dumps(self.header).encode())}.{b64(json.dumps(claims).encode())}"
        if self.header["alg"] == "none":
            return f"{signed}."
        signature = self.signing_key.sign(signed.encode(), padding.PKCS1v15(), SHA256())
        return f"{signed}.{b64(signature)}"


@contextmanager
def providing() -> Iterator[Provider]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._answer({name: one[0] for name, one in parse_qs(body).items()})

        def _answer(self, form: Mapping[str, str]) -> None:
            token = self.headers.get("Authorization", "")
            found = provider.answer(urlsplit(self.path).path, form, token)
            body = json.dumps(found).encode()
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Not into the test's output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = Provider(f"http://127.0.0.1:{server.server_address[1]}")
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
