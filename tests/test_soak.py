"""The short form of soak.py, which for an hour kills a run at `quick`."""

import os

import pytest
from soak import soak


@pytest.mark.skipif(os.name != "posix", reason="kills processes as POSIX does")
def test_a_run_that_is_killed_again_and_again_ends_with_the_trials_of_an_undisturbed_one():
    done = soak(
        minutes=0,
        every=0.6,
        scale="smoke",
        trials=36,
        experiments="start,calibration",
        seed=3,
        say=lambda line: None,
    )
    assert (done["trials"], done["lost"], done["doubled"], done["different"]) == (72, 0, 0, 0)
    assert sum(done["killed"].values()) >= 1
