"""The one exception whose message is written for the user: one line that says what to do."""


class GaltoolsError(ValueError):
    """Something that the user can put right; the message says how."""
