"""The pictures of terminals in docs/images show what the commands print."""

import pytest

from tests.exhaustive import params
from tests.pictures import IMAGES, PICTURES, render_picture


@pytest.mark.parametrize("name", params(PICTURES))
def test_a_picture_is_up_to_date(name: str) -> None:
    assert (IMAGES / name).read_text() == render_picture(name), "run `make screens`"
