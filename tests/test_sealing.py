"""Sealed texts open with our keys and for their purpose alone; the key file is made once, whole, closed to others."""

import multiprocessing
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.sealing import SealBrokenError, Sealer, configured_keys, load_or_make_keys, new_key, parse_keys
from moorage.settings import Settings

OLD, NEW = bytes(32), bytes([1]) * 32


@given(purpose=st.text(), content=st.binary())
def test_what_is_sealed_opens_for_its_purpose_alone(purpose: str, content: bytes) -> None:
    sealer = Sealer([OLD])
    text = sealer.seal(purpose, content)
    assert sealer.open(purpose, text) == content
    assert set(":/+=").isdisjoint(text)
    with pytest.raises(SealBrokenError):
        sealer.open(f"{purpose}.", text)
    with pytest.raises(SealBrokenError):
        Sealer([NEW]).open(purpose, text)


@given(text=st.text())
def test_no_text_of_others_opens(text: str) -> None:
    with pytest.raises(SealBrokenError):
        Sealer([OLD]).open("purpose", text)


def test_a_new_key_in_front_ends_nothing() -> None:
    before = Sealer([OLD]).seal("purpose", b"content")
    rotated = Sealer([NEW, OLD])
    assert rotated.open("purpose", before) == b"content"
    assert Sealer([NEW]).open("purpose", rotated.seal("purpose", b"content")) == b"content"


def test_without_a_key_nothing_can_be_sealed() -> None:
    for keys in ([], [b"short"]):
        with pytest.raises(ValueError, match="32 bytes"):
            Sealer(keys)


def test_workers_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    file = tmp_path / "sealing.key"
    with multiprocessing.get_context("fork").Pool(8) as pool:
        found = pool.map(load_or_make_keys, [file] * 64, chunksize=1)
    assert {tuple(keys) for keys in found} == {tuple(parse_keys(file.read_text()))}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_keys_of_the_environment_go_before_the_file(tmp_path: Path) -> None:
    key = new_key()
    sealed = Sealer(configured_keys(Settings(data=tmp_path, sealing_keys=key)) or []).seal("purpose", b"content")
    assert not list(tmp_path.iterdir())
    assert Sealer(parse_keys(key)).open("purpose", sealed) == b"content"
