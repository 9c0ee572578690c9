"""What a user is told, in every package: an error of theirs, one line that says where, what, which limit, what to do;
and a notice of what was assumed for them."""


class UserError(Exception):
    """Bad input from outside; the command line prints its text and exits with code 2."""


class Notice(UserWarning):
    """Something that was taken for granted and may be wrong; the command line prints it on standard error, once."""
