"""Write docs/reference/events.md from the vocabulary of events (`make events`).

With --check the page is only compared; the exit status is 1 if it differs.
"""

import sys
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from generated_page import write_or_compare
from moorage.events import AnyEvent, Event
from moorage.events.event import RegistryEvent, RepositoryEvent

PAGE: Final = Path(__file__).parent.parent / "docs" / "reference" / "events.md"
_HEAD: Final = """\
# Events

Look up the events that a registry records: what each kind means, and which members it has.

Each change of state records an event in the same transaction. With `MOORAGE_EVENT_LOG=true` a background job delivers
the events to the log, within about two seconds. None is left out; after a crash, up to 100 lines can be repeated. With
`MOORAGE_LOG_FORMAT=json` a line is:

```json
{"event": "event", "kind": "image.pushed", "position": 2, "at": 1795865674.7377205,
 "account": "111122223333", "region": "us-east-1", "repository": "team/app",
 "by": "arn:aws:iam::111122223333:root", "digest": "sha256:5644…", "tag": "v1", …}
```

| member | meaning |
|---|---|
| `kind` | what happened, from the tables below |
| `position` | the position in the order of delivery. Use it to recognize an event that is delivered twice |
| `at` | when it happened, in seconds since 1970 |
| `account` | the account that owns what changed |
| `region`, `repository` | of events about registries and repositories |
| `by` | the ARN of the principal who caused it; `moorage` for the server itself |

Events are kept for `MOORAGE_OUTBOX_SECONDS`, and not deleted before they are delivered. When you turn the setting on,
the log gets all that are kept. The [audit record](audit-record.md) has all requests, including reads and denials.

This page is generated from `src/moorage/events/`. To change it, change the classes there and run `make events`.
"""
_COMMON: Final = {field.name for field in msgspec.structs.fields(RepositoryEvent)}


def page() -> str:
    """Return the text of docs/reference/events.md."""
    kinds: tuple[type[Event], ...] = typing.get_args(AnyEvent)
    of_registry = [kind for kind in kinds if issubclass(kind, RegistryEvent)]
    of_identity = [kind for kind in kinds if not issubclass(kind, RegistryEvent)]
    return (
        f"{_HEAD}\n## Registries, repositories and images\n\n{_table(of_registry)}"
        f"\n## Accounts and identities\n\n{_table(of_identity)}"
    )


def _table(kinds: Sequence[type[Event]]) -> str:
    rows = ["| kind | meaning | members |", "|---|---|---|"]
    for kind in kinds:
        fields = msgspec.structs.fields(kind)
        members = ", ".join(f"`{field.encode_name}`" for field in fields if field.name not in _COMMON)
        meaning = " ".join((kind.__doc__ or "").split())
        rows.append(f"| `{kind.__struct_config__.tag}` | {meaning.replace('|', chr(92) + '|')} | {members} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.exit(write_or_compare(PAGE, page(), source="src/moorage/events/", target="events"))
