import pytest

from dreamvideo.dataset.licences import commercial_use, non_commercial

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
    "CC_BY_NC_4.0",
    "for research purposes",
    "research use",
    "personal use",
    "commercial use prohibited",
    "Commercial use is strictly forbidden",
    "commercial use not permitted",
    "editorial use only",
    "(c) Example Inc, all rights reserved",
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


@pytest.mark.parametrize(
    ("licence", "use"),
    [
        *((licence, "forbidden") for licence in FORBIDDING),
        *((f"CC-BY{more}", "allowed") for more in ("", "-4.0", "-SA-3.0", "-ND-4.0", "-2.0-FR")),
        *(
            (free, "allowed")
            for free in ("CC0-1.0", "cc_by_4.0", "MIT", "Apache-2.0", "BSD-3-Clause", "GPL-3.0-or-later")
        ),
        ("CC-BY-NC-4.0 OR MIT", "allowed"),
        ("CC-BY-4.0 AND MIT", "allowed"),
        ("CC-BY-4.0 AND Example-1.0", "unknown"),
        ("none stated", "unknown"),
        ("made by Example Inc", "unknown"),
        ("", "unknown"),
    ],
)
def test_commercial_use_is_allowed_only_where_the_licence_is_known_to_allow_it(licence, use):
    assert commercial_use(licence) == use
