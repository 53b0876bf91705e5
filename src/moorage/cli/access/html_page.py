"""Writes the access matrix as one self-contained HTML page."""

from collections.abc import Mapping
from html import escape
from typing import Final

from moorage.analysis.access_report import (
    CAPABILITIES,
    AccessAnswer,
    AccessCell,
    AccessMatrix,
    AccessRow,
    WidenedAccess,
)

_MARKS: Final[Mapping[AccessAnswer, str]] = {"yes": "✓", "depends": "?", "no": "–"}
"""Shown beside each answer, for readers who cannot tell the colors apart."""
_RANK: Final[Mapping[AccessAnswer, int]] = {"no": 0, "depends": 1, "yes": 2}
_LEGEND: Final[Mapping[AccessAnswer, str]] = {
    "yes": "in every request",
    "depends": "under the conditions below it",
    "no": "in no request",
}
_STYLE: Final = """
:root { color-scheme: light dark; --text: #1b2026; --page: #fff; --line: #dce1e6; --dim: #5c6570; --head: #f3f5f7;
  --yes: #0f6b41; --depends: #855400; --gain: #a8201a; --more: #fdf0ee }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ec; --page: #14171a; --line: #30373e; --dim: #9aa4ae;
  --head: #1e2328; --yes: #53cb92; --depends: #e5ae4a; --gain: #ff8f86; --more: #2c1d1d } }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 76rem; padding: 2rem 1.5rem; color: var(--text);
  background: var(--page) }
h1 { font-size: 1.45rem; margin: 0 0 .75rem; overflow-wrap: anywhere } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; list-style: none; margin: 0 0 1.25rem; padding: 0;
  color: var(--dim); font-size: .9rem }
table { border-collapse: separate; border-spacing: 0; width: 100%; table-layout: fixed; min-width: 44rem }
th, td { border-bottom: 1px solid var(--line); padding: .55rem .7rem; text-align: left; vertical-align: top;
  overflow-wrap: anywhere }
thead th { background: var(--head); position: sticky; top: 0; white-space: nowrap } thead th:first-child { width: 34% }
tbody th { font-weight: 500; background: var(--page) } tbody tr:hover > * { background: var(--head) }
small { color: var(--dim); display: block; font-size: .82rem; font-weight: 400 } .dim { color: var(--dim) }
.yes { color: var(--yes); font-weight: 600 } .depends { color: var(--depends); font-weight: 600 }
.no, del { color: var(--dim) } .yes, .no, .depends { white-space: nowrap }
.mark { margin-right: .35em } td.more, tbody tr:hover > td.more { background: var(--more) }
.gain { color: var(--gain) } .who { font-weight: 600; overflow-wrap: anywhere } ul.gains { padding-left: 1.2rem }
ul.gains li { margin-bottom: .5rem } code { font-size: .88rem; overflow-wrap: anywhere }
@media (max-width: 52rem) { .scroll { overflow-x: auto; border: 1px solid var(--line) } body { padding: 1.25rem .75rem }
  thead th:first-child { z-index: 1 }
  .scroll th:first-child { position: sticky; left: 0; width: 9.5rem; border-right: 1px solid var(--line) } }
@media print { thead th { position: static } tr { break-inside: avoid } }
"""


def page(title: str, matrix: AccessMatrix, *, by_principal: bool) -> str:
    """Return the whole document. Every text in it is escaped, because others chose the names."""
    head = "".join(f'<th scope="col">{name}</th>' for name in CAPABILITIES)
    rows = "".join(_row(row, by_principal) for row in matrix.rows)
    legend = "".join(f"<li>{_answer(name)}: {meaning}</li>" for name, meaning in _LEGEND.items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{_widened(matrix.widened)}"
        f'<ul class="legend">{legend}</ul>'
        f'<div class="scroll" tabindex="0"><table><thead><tr>'
        f'<th scope="col">{"repository" if by_principal else "who"}</th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div></body></html>\n"
    )


def grouped(widened: list[WidenedAccess]) -> list[tuple[str, str, list[str]]]:
    """Return who may do more, how (`no → yes`), and with which actions; one entry for each such change."""
    groups: dict[tuple[str, str], list[str]] = {}
    for each in widened:
        certainty = "" if each.certain else " (possibly: it cannot be ruled out)"
        groups.setdefault((each.who, f"{each.before} → {each.after}{certainty}"), []).append(each.action)
    return [(who, change, actions) for (who, change), actions in groups.items()]


def _row(row: AccessRow, by_principal: bool) -> str:
    name = escape(row.repository.partition("repository/")[2]) if by_principal else _who(row.who)
    note = f"<small>{escape(row.note)}</small>" if row.note else ""
    cells = "".join(_cell(row.cells[each], None if row.before is None else row.before[each]) for each in CAPABILITIES)
    return f'<tr><th scope="row">{name}{note}</th>{cells}</tr>'


def _who(name: str) -> str:
    """Return the name as HTML; the last part of an ARN stands out."""
    prefix, colon, rest = name.rpartition(":")
    if not name.startswith("arn:"):
        return escape(name)
    before = escape(prefix + colon).replace("::", "::<wbr>")
    return f'<span class="dim">{before}</span><wbr>{escape(rest)}'


def _cell(cell: AccessCell, before: AccessCell | None) -> str:
    old_answer, widened = "", ""
    if before is not None and before.answer != cell.answer:
        old_answer = f'<del>{before.answer}</del> <span class="dim">→</span> '
        widened = ' class="more"' if _RANK[cell.answer] > _RANK[before.answer] else ""
    conditions = "".join(f"<small>{escape(each)}</small>" for each in cell.conditions)
    return f"<td{widened}>{old_answer}{_answer(cell.answer)}{conditions}</td>"


def _answer(answer: AccessAnswer) -> str:
    return f'<span class="{answer}"><span class="mark" aria-hidden="true">{_MARKS[answer]}</span>{answer}</span>'


def _widened(widened: list[WidenedAccess] | None) -> str:
    if widened is None:
        return ""
    if not widened:
        return "<p>Nobody may do more than before.</p>"
    items = "".join(
        f'<li><span class="who">{_who(who)}</span>: {change}<br>'
        f"{', '.join(f'<code>{escape(action)}</code>' for action in actions)}</li>"
        for who, change, actions in grouped(widened)
    )
    return f'<h2 class="gain">May do more than before</h2><ul class="gains">{items}</ul><h2>Everybody</h2>'
