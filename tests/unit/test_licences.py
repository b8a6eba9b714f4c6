import pytest

from dreamvideo.dataset.licences import non_commercial

FORBIDDING = [
    "CC-BY-NC-4.0",
    "CC-BY-NC-SA-3.0",
    "CC BY-NC-ND 4.0",
    "cc-by-nc-4.0",
    "Creative Commons Attribution-NonCommercial 4.0",
    "PolyForm-Noncommercial-1.0.0",
    "NCGL-UK-2.0",
    "for non-commercial research",
    "non commercial",
    "research only",
    "Research use only",
    "for research purposes only",
    "academic use only",
    "only for research",
    "only for academic purposes",
    "personal use only",
    "no commercial use",
    "not for commercial use",
    "no licence stated; treat as research only",
    "CC-BY-4.0 AND CC-BY-NC-4.0",
    "CC-BY-NC-4.0 OR CC-BY-NC-SA-4.0",
]
ALLOWING = [
    "CC-BY-4.0",
    "CC0-1.0",
    "CC-BY-SA-4.0",
    "CC-BY-ND-4.0",
    "MIT",
    "Apache-2.0",
    "NCSA",
    "BSD-3-Clause",
    "Unsplash licence: free, commercial use allowed",
    "made by Example Inc",
    "no licence stated",
    "CC-BY-NC-4.0 OR MIT",
]


@pytest.mark.parametrize("licence", FORBIDDING)
def test_a_licence_that_forbids_commercial_use(licence):
    assert non_commercial(licence)


@pytest.mark.parametrize("licence", ALLOWING)
def test_a_licence_that_does_not(licence):
    assert not non_commercial(licence)
