"""Sealed texts: secrets at rest, registry passwords, download URLs and page tokens, all under one rotatable key.

The key lives outside the database: a file of mode 0600, or an environment variable. The first key of the file seals,
every key opens, so a new key can be put in front without ending what the old one sealed.
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
"""In the data directory."""


class SealBrokenError(ValueError):
    """The text was not sealed by one of our keys for this purpose, or was changed."""


class Sealer:
    """Seals bytes for a purpose with AES-256-GCM; what was sealed for one purpose opens for no other."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != 32 for key in keys):
            raise ValueError("sealing keys are 32 bytes each, at least one")
        self._ciphers = [AESGCM(key) for key in keys]

    def seal(self, purpose: str, content: bytes) -> str:
        """URL-safe base64 without padding: no colon, no slash, no plus."""
        nonce = secrets.token_bytes(_NONCE)
        sealed = self._ciphers[0].encrypt(nonce, content, purpose.encode())
        return _text(nonce + sealed)

    def open(self, purpose: str, text: str) -> bytes:
        """Return the content sealed in `text`, or raise SealBrokenError.

        Only the text that `seal` returned opens: base64 has many spellings of the same bytes (characters outside its
        alphabet, padding, unused bits), and callers keep results under the text.
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
        raise SealBrokenError("sealed by none of our keys")


def _text(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def new_key() -> str:
    """A fresh key as the key file keeps it: one line of base64."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def parse_keys(text: str) -> list[bytes]:
    """The keys of a key file: base64, one a line, blank lines ignored."""
    return [base64.b64decode(line, validate=True) for line in text.split() if line]


def load_or_make_keys(file: Path) -> list[bytes]:
    """The keys in `file`, which is made with one fresh key (mode 0600) when it is not there.

    Several processes may call it at once: the file appears whole, and all read the same key.
    """
    if not file.exists():
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)  # mkstemp makes it 0600
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
    """The keys of the settings, else of the data directory's key file; None when there is no such file.

    Raises ValueError when they are no keys.
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
