"""Pictures of what a run measured, for the sign-off and for Allure.

    series      journal and `performance.json` -> what is drawn
    gallery     which pictures a run has, what they are called, and when they are drawn again
    draw, style matplotlib, and colours for light and dark

`docs/design/0018-pictures.md` has the decisions.
"""

from __future__ import annotations

from hwval.pictures.gallery import Gallery
from hwval.pictures.gallery import Picture
from hwval.pictures.gallery import draw_pictures
from hwval.pictures.gallery import gallery_of
from hwval.pictures.series import Series

__all__ = ["Gallery", "Picture", "Series", "draw_pictures", "gallery_of"]
