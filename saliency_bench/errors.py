"""The one exception a user's mistake raises: one line that says what, where and what to do."""


class UserError(Exception):
    """A mistake in what the user gave: a file, an option, a mode.  The command line prints it and exits 2.

    The message names the file or option, what was expected, what was found and the fix, in that order.
    """
