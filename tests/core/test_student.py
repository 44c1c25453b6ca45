"""Student's t against that of scipy."""

import pytest

from core.student import reach, within


@pytest.fixture
def t():
    return pytest.importorskip("scipy.stats", reason="scipy is not installed").t


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 8, 9, 30, 101])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.95, 0.999])
def test_the_reach_is_that_of_scipy(t, share, degrees):
    assert reach(share, degrees) == pytest.approx(t.ppf((1 + share) / 2, degrees), rel=1e-9)


@pytest.mark.parametrize("degrees", range(1, 12))
def test_the_share_within_is_that_of_scipy(t, degrees):
    for far in (0.0, 0.3, 1.0, 4.3, 50.0):
        assert within(far, degrees) == pytest.approx(
            t.cdf(far, degrees) - t.cdf(-far, degrees), abs=1e-12
        )


def test_what_is_no_share_or_no_degree_is_refused():
    with pytest.raises(ValueError, match="share"):
        reach(1.0, 2)
    with pytest.raises(ValueError, match="degrees"):
        within(1.0, 0)
