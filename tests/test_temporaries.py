"""Temporaries: a signal at any instruction of their making leaves nothing behind."""

import sys

import pytest

from spikegpt import temporaries


class Strike:
    """A trace function that raises, as a signal does, at the n-th line of the module that runs before `over` is set."""

    def __init__(self, n: int) -> None:
        self.left, self.over = n, False

    def __call__(self, frame, event, argument):
        if self.over or frame.f_code.co_filename != temporaries.__file__:
            return None
        if event == "line":
            self.left -= 1
            if self.left < 0:
                self.over = True
                raise KeyboardInterrupt
        return self


@pytest.mark.parametrize("directory", [False, True])
def test_a_signal_at_any_line_leaves_no_temporary(directory, tmp_path):
    for n in range(1000):
        strike = Strike(n)
        sys.settrace(strike)
        try:
            with temporaries.temporary(tmp_path, "out", directory=directory):
                strike.over = True
                assert len(list(tmp_path.iterdir())) == 1
                break
        except KeyboardInterrupt:
            assert list(tmp_path.iterdir()) == [], f"a signal at line {n}"
        finally:
            sys.settrace(None)
    assert 10 < n < 999
    assert list(tmp_path.iterdir()) == []
