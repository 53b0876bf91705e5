"""An OIDC issuer of the tests' own: keys, JWK sets and tokens."""

import json
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

ISSUER = "https://token.example.com"
AUDIENCE = "sts.amazonaws.com"


class Signer:
    """One key, RSA or EC, under a key id."""

    def __init__(self, kid: str, algorithm: str = "RS256") -> None:
        self.kid = kid
        self.algorithm = algorithm
        self.private: Any
        if algorithm == "RS256":
            self.private = rsa.generate_private_key(65537, 2048)
            public = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        else:
            self.private = ec.generate_private_key(ec.SECP256R1())
            public = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        self.jwk = {**public, "kid": kid, "alg": algorithm, "use": "sig"}

    def token(self, now: float, **claims: Any) -> str:
        """A token issued just before `now`; a claim given as None is left out."""
        said = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "repo:team/app:ref:refs/heads/main",
            "iat": int(now) - 5,
            "exp": int(now) + 300,
            **claims,
        }
        said = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(said, self.private, algorithm=self.algorithm, headers={"kid": self.kid})

    def token_of(self, payload: str, **header: Any) -> str:
        """A token whose payload is this text, whatever it is. `header`: more members of the header."""
        headers = {"kid": self.kid, **header}
        return jwt.PyJWS().encode(payload.encode(), self.private, algorithm=self.algorithm, headers=headers)


def jwks(*signers: Signer) -> str:
    return json.dumps({"keys": [signer.jwk for signer in signers]})


def issuers_file(directory: Path, *signers: Signer, **more: Any) -> Path:
    """A file of issuers with one in it, whose keys stand beside it."""
    keys = directory / "jwks.json"
    keys.write_text(jwks(*signers))
    path = directory / "issuers.json"
    path.write_text(json.dumps([{"issuer": ISSUER, "audiences": [AUDIENCE], "jwks": str(keys), **more}]))
    return path
