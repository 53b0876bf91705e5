"""Policy variables: `${aws:username}`, `${key, 'default'}`, and the escapes `${*}` `${?}` `${$}`.

See docs/development/policy-engine.md §3.4.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from moorage.policy.matching.wildcard import Token, Wild
from moorage.policy.matching.wildcard import tokens as wildcard_tokens

Context = Mapping[str, str | tuple[str, ...]]
"""Condition keys in lower case, each with its value, or with its values if the key is multivalued."""

# Possessive, and never applied beyond the last brace: text from strangers must not be searched again and again.
_VARIABLE: Final = re.compile(r"\$\{(?:([*?$])|([^}',]*+)(?:,\s*+'([^']*+)')?+|[^}]*+)\}")


class Variable(NamedTuple):
    """`${key, 'default'}`. A key that cannot exist (`${}`) never has a value."""

    key: str
    default: str | None


class Template:
    """A text with variables (and wildcards), split into tokens once."""

    __slots__ = ("fixed", "parts", "reads")

    def __init__(self, text: str, *, variables: bool, wildcards: bool) -> None:
        """`variables` is false for documents older than 2012-10-17, in which `${` is literal."""
        self.parts = tuple(_parts(text, variables, wildcards))
        self.reads = tuple(part.key for part in self.parts if isinstance(part, Variable))
        """The condition keys of its variables."""
        self.fixed: tuple[Token, ...] | None = None
        """The tokens, if none of them is a variable."""
        if not self.reads:
            self.fixed = tuple(part for part in self.parts if not isinstance(part, Variable))

    def resolve(self, context: Context) -> tuple[Token, ...] | None:
        """Return the tokens with every variable replaced by its literal value; None if one has no (single) value."""
        if self.fixed is not None:
            return self.fixed
        resolved: list[Token] = []
        for part in self.parts:
            if not isinstance(part, Variable):
                resolved.append(part)
                continue
            value = context.get(part.key)
            if value is None:
                value = part.default
            if not isinstance(value, str):
                return None
            if value:
                resolved.append(value)
        return tuple(resolved)


def _parts(text: str, variables: bool, wildcards: bool) -> list[Token | Variable]:
    parts: list[Token | Variable] = []
    position = 0
    for found in _VARIABLE.finditer(text, 0, text.rfind("}") + 1) if variables else ():
        parts += _literal(text[position : found.start()], wildcards)
        escape, key, default = found.groups()
        parts.append(escape if escape is not None else Variable((key or "").strip().lower(), default))
        position = found.end()
    parts += _literal(text[position:], wildcards)
    return parts


def _literal(text: str, wildcards: bool) -> tuple[Token, ...]:
    if not text:
        return ()
    return wildcard_tokens(text) if wildcards else (text,)


def shown(pattern: tuple[Token, ...]) -> str:
    """Return resolved tokens as a person reads them."""
    return "".join(part.value if isinstance(part, Wild) else part for part in pattern)
