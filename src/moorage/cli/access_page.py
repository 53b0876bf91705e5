"""The access matrix as one page that needs nothing from anywhere."""

from html import escape
from typing import Any, Final

from moorage.access.matrix import CAPABILITIES

_STYLE: Final = """
:root { color-scheme: light dark; --line: #d7dce2; --dim: #6b7480; --yes: #137a4b; --depends: #9a6200; --no: #8a929c;
  --gain: #b3261e; --head: #f4f6f8 }
@media (prefers-color-scheme: dark) { :root { --line: #333a42; --dim: #98a2ad; --yes: #4cc38a; --depends: #e0a63b;
  --no: #77808a; --gain: #ff8a80; --head: #1c2127 } }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
h1 { font-size: 1.4rem; overflow-wrap: anywhere } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid var(--line); padding: .45rem .6rem; text-align: left; vertical-align: top }
thead th { background: var(--head); position: sticky; top: 0 }
tbody th { font-weight: 500; overflow-wrap: anywhere } small { color: var(--dim); display: block; font-weight: 400 }
.yes { color: var(--yes); font-weight: 600 } .depends { color: var(--depends); font-weight: 600 }
.no { color: var(--no) }
del { color: var(--dim); margin-right: .3rem } .gain { color: var(--gain) } code { overflow-wrap: anywhere }
"""


def page(title: str, answer: dict[str, Any], *, by_principal: bool) -> str:
    """The whole document. Every text in it is escaped: names are other people's."""
    head = "".join(f'<th scope="col">{name}</th>' for name in CAPABILITIES)
    rows = "".join(_row(row, by_principal) for row in answer["rows"])
    more = "<p>There are more: the rest is left out.</p>" if answer["more"] else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{_widened(answer['widened'])}"
        f'<table><thead><tr><th scope="col">{"repository" if by_principal else "who"}</th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>{more}</body></html>\n"
    )


def _row(row: dict[str, Any], by_principal: bool) -> str:
    name = row["repository"].partition("repository/")[2] if by_principal else row["who"]
    kind = "" if by_principal else f"<small>{escape(row['kind'])}</small>"
    cells = "".join(
        _cell(row["cells"][each], None if row["before"] is None else row["before"][each]) for each in CAPABILITIES
    )
    return f'<tr><th scope="row">{escape(name)}{kind}</th>{cells}</tr>'


def _cell(cell: dict[str, Any], before: dict[str, Any] | None) -> str:
    was = f"<del>{before['answer']}</del>" if before is not None and before["answer"] != cell["answer"] else ""
    conditions = "".join(f"<small>{escape(each)}</small>" for each in cell["conditions"])
    return f'<td>{was}<span class="{cell["answer"]}">{cell["answer"]}</span>{conditions}</td>'


def _widened(widened: list[dict[str, Any]] | None) -> str:
    if widened is None:
        return ""
    if not widened:
        return "<p>Nobody may do more than before.</p>"
    items = "".join(
        f"<li><b>{escape(each['who'])}</b> <code>{escape(each['action'])}</code> {each['before']} → {each['after']}"
        f"{'' if each['certain'] else ' (perhaps: it cannot be ruled out)'}</li>"
        for each in widened
    )
    return f'<h2 class="gain">May do more than before</h2><ul>{items}</ul><h2>Everybody</h2>'
