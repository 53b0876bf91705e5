"""The condition keys that a policy refers to, in its conditions and in variables."""

import re
from collections.abc import Iterator
from typing import Final

from moorage.policy.language.document import Document
from moorage.policy.language.elements import WITH_VARIABLES, StatementElements
from moorage.policy.language.parsed import parsed

_VARIABLE: Final = re.compile(r"\$\{([^}',*?$][^}',]*)")


def context_keys(document: Document) -> tuple[str, ...]:
    """Return the keys as written, each once whatever its case, in the order of the text."""
    found = parsed(document.text, document.kind).elements
    keys: dict[str, str] = {}
    for statement in found.statements:
        for key in _keys(statement, variables=found.version == WITH_VARIABLES):
            keys.setdefault(key.lower(), key)
    return tuple(keys.values())


def _keys(statement: StatementElements, *, variables: bool) -> Iterator[str]:
    texts = [] if statement.resource is None else list(statement.resource.texts)
    for test in statement.tests:
        yield test.key
        texts += [value.text for value in test.values]
    if variables:
        for text in texts:
            yield from (key.strip() for key in _VARIABLE.findall(text))
