"""What a command ends with when the person who gave it has to mend something."""


class CommandError(Exception):
    """A command cannot do what was asked; one sentence for the person who asked."""
