"""The error that a user's mistake raises, in every package: one line that says where, what, which limit, what to do."""


class UserError(Exception):
    """Bad input from outside; the command line prints its text and exits with code 2."""
