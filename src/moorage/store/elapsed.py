"""How much time has really passed, so that nothing expires because the clock jumps forward.

Rows carry the time of the machine's clock. Time counts as passed only while a server saw it pass: between two looks at
the clock, as much as the monotonic clock says, which nobody can set. The rest is a gap: a jump of the clock, the
machine's sleep, or the time in which no server ran. Gaps are stored, so all processes know them, after a restart too.

What is to be kept for an hour is therefore kept until a server has run for an hour, whatever the clock did.
"""

from typing import NamedTuple

from sqlalchemy import Connection

from moorage.clock import Clock
from moorage.settings import DAY, Settings
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.deployment import observed_clock as rows

JUMP_SECONDS = 60.0
"""A gap shorter than this counts as time that passed: a quick restart, a correction of the clock."""
MOST_GAPS = 500
"""Gaps that are stored. If there are more, the two with the least time between them are merged, and that time does not
count."""

Gap = tuple[float, float]


class Observed(NamedTuple):
    """One look at the clock, and the gaps before it."""

    now: float
    gaps: list[Gap]

    def before(self, seconds: float) -> float:
        """Return the time by the clock since which `seconds` have passed; negative if a gap reaches further back."""
        edge, left = self.now, seconds
        for began, ended in sorted(self.gaps, key=lambda gap: gap[1], reverse=True):
            if ended > self.now:
                continue  # of a server whose clock is ahead of ours, or was
            if ended < edge:
                if edge - ended >= left:
                    break
                left -= edge - ended
            edge = min(edge, began)
        return edge - left

    def expired_before(self, seconds: float) -> float:
        """Return the time before which whatever is kept for `seconds` has expired.

        It is after 0, the time of rows that are to be deleted however little time has passed.
        """
        return max(self.before(seconds), 1.0)


class ElapsedTime:
    """Looks at the clock for one server process, and stores the gaps."""

    def __init__(self, db: Database, clock: Clock, settings: Settings) -> None:
        self._db = db
        self._clock = clock
        kept = (
            settings.trash_seconds,
            settings.audit_seconds,
            settings.outbox_seconds,
            settings.job_seconds,
            settings.blob_grace_seconds,
            settings.upload_seconds,
            DAY,
        )
        self._longest = 2 * max(kept)  # gaps that are longer ago are forgotten: nothing is kept for so long
        self._last = (clock.began_at, clock.began_elapsed)
        self._is_first = True

    async def observe(self) -> Observed:
        """Look at the clock, and store the gap since the last look if there was one."""
        now, elapsed = self._clock.now(), self._clock.elapsed()
        last_now, last_elapsed = self._last
        expected = last_now + elapsed - last_elapsed
        is_first = self._is_first

        def work(conn: Connection) -> Observed:
            record = rows.find(conn)
            gaps = [] if record is None else record.gaps
            seen_at = 0.0 if record is None else record.seen_at
            # After its first look a process knows that it has run since, whatever others with other clocks saw.
            if is_first and last_now - seen_at > JUMP_SECONDS:
                gaps.append((seen_at, last_now))
            if now - expected > JUMP_SECONDS and not any(_is_same(gap, (expected, now)) for gap in gaps):
                gaps.append((expected, now))
            oldest = Observed(now, gaps).before(self._longest)
            gaps = _at_most([gap for gap in gaps if gap[1] > oldest], MOST_GAPS)
            rows.save(conn, now, gaps)
            return Observed(now, gaps)

        observed = await self._db.transaction(work, durable=False, frees=True)
        self._last, self._is_first = (now, elapsed), False
        return observed

    async def since(self, seconds: float) -> float:
        """Look at the clock, and return the time since which `seconds` have passed."""
        return (await self.observe()).before(seconds)


def _is_same(one: Gap, other: Gap) -> bool:
    """Return whether two processes saw the same jump."""
    return all(abs(a - b) <= JUMP_SECONDS for a, b in zip(one, other, strict=True))


def _at_most(gaps: list[Gap], most: int) -> list[Gap]:
    gaps = sorted(gaps)
    while len(gaps) > most:
        number = min(range(len(gaps) - 1), key=lambda n: gaps[n + 1][0] - gaps[n][1])
        gaps[number : number + 2] = [(gaps[number][0], max(gaps[number][1], gaps[number + 1][1]))]
    return gaps
