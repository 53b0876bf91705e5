"""Why a text is not a policy: the one exception of this package."""


class PolicyError(Exception):
    """The text is not a policy of the kind asked for.

    `reason` is for people (a log, a lint page); what a client reads is chosen by the door (policy-engine.md §1.3).
    `pointer` is the JSON pointer (RFC 6901) of the element at fault; empty for the whole document.
    """

    def __init__(self, reason: str, pointer: str = "") -> None:
        super().__init__(f"{pointer or '/'}: {reason}")
        self.reason = reason
        self.pointer = pointer
