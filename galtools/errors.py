"""The one exception whose message is written for the user: one line that says what to do."""

import traceback


class GaltoolsError(ValueError):
    """Something that the user can put right; the message says how."""

    def _render_traceback_(self) -> list[str]:
        """Show in a notebook, which asks for this name, the line of the cell and the message.

        The inner workings that met the problem are not what is wrong.
        """
        frames = traceback.extract_tb(self.__traceback__)
        cell = [frame for frame in frames if "ipykernel_" in frame.filename][:1]
        lines = [f"----> {frame.lineno} {frame.line}" for frame in cell]
        return [*lines, "", f"{type(self).__name__}: {self}"]


def check_choice(what: str, name: str, known) -> str:
    """Return a name if it is a known one, or refuse with the list of them."""
    if name not in known:
        raise GaltoolsError(f"unknown {what} {name!r}: choose one of {', '.join(known)}")
    return name
