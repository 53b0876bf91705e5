"""Questions about policies: why a request was denied, who can reach what, and what a change would do."""
