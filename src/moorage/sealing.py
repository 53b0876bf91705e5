"""Sealed texts: secrets at rest, registry passwords, download URLs and page tokens, all under one key that can be
rotated.

The key is stored outside the database: in a file of mode 0600, or in an environment variable. The first key of the file
seals and every key opens, so a new key can be put in front while old texts stay valid.
"""

import base64
import binascii
import contextlib
import os
import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from moorage.data_directory import flush_directory
from moorage.settings import Settings

_NONCE = 12
KEY_FILE = "sealing.key"
"""The name of the key file in the data directory."""


class SealBrokenError(ValueError):
    """The text was not sealed with one of the keys for this purpose, or was changed."""


class Sealer:
    """Seals bytes for a purpose with AES-256-GCM. What is sealed for one purpose opens for no other."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != 32 for key in keys):
            raise ValueError("sealing keys are 32 bytes each, at least one")
        self._ciphers = [AESGCM(key) for key in keys]

    def seal(self, purpose: str, content: bytes) -> str:
        """Return the sealed content as URL-safe base64 without padding: no colon, slash or plus."""
        nonce = secrets.token_bytes(_NONCE)
        sealed = self._ciphers[0].encrypt(nonce, content, purpose.encode())
        return _text(nonce + sealed)

    def open(self, purpose: str, text: str) -> bytes:
        """Return the content sealed in `text`. Raise SealBrokenError.

        Only the exact text that `seal` returned opens: base64 has many spellings of the same bytes (characters outside
        its alphabet, padding, unused bits), and callers cache results under the text.
        """
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error) as error:
            raise SealBrokenError("not base64") from error
        if _text(raw) != text:
            raise SealBrokenError("not the usual base64")
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(raw[:_NONCE], raw[_NONCE:], purpose.encode())
            except (InvalidTag, ValueError):
                continue
        raise SealBrokenError("not sealed with one of the keys")


def _text(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def new_key() -> str:
    """Return a new key in the form of the key file: one line of base64."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def parse_keys(text: str) -> list[bytes]:
    """Return the keys of a key file: base64, one a line, ignoring blank lines."""
    return [base64.b64decode(line, validate=True) for line in text.split() if line]


def load_or_make_keys(file: Path) -> list[bytes]:
    """Return the keys in `file`. If it does not exist, create it with a new key (mode 0600).

    Several processes may call it at once: the file appears as a whole, and all read the same key.
    """
    if not file.exists():
        descriptor, name = tempfile.mkstemp(
            prefix=f".{file.name}.", dir=file.parent
        )  # mkstemp creates it with mode 0600
        try:
            with os.fdopen(descriptor, "w") as out:
                out.write(new_key() + "\n")
                out.flush()
                os.fsync(out.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(name, file)
            flush_directory(file.parent)  # before anything is sealed with it
        finally:
            Path(name).unlink()
    return parse_keys(file.read_text())


def configured_keys(settings: Settings) -> list[bytes] | None:
    """Return the keys of the settings, or else of the key file in the data directory; None if there is no such file.

    Raises ValueError if they are not valid.
    """
    if settings.sealing_keys is not None:
        text = settings.sealing_keys
    else:
        try:
            text = (settings.data / KEY_FILE).read_text()
        except FileNotFoundError:
            return None
    keys = parse_keys(text)
    Sealer(keys)  # of the right length, and at least one
    return keys
