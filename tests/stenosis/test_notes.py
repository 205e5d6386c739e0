"""Mentions of stenosis in notes."""

import pytest

from lss_lightning.stenosis.notes import asserts_stenosis, read_notes


def read_mentions(text):
    return [(mention.level, mention.site, mention.present) for mention in read_notes(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mild spinal canal stenosis at L4-5.", [("D4", "central", True)]),
        ("L3/L4: narrowing of the central canal", [("D3", "central", True)]),
        ("L5-S1 spinal stenosis", [("D5", "central", True)]),
        ("L5/1 canal stenosis", [("D5", "central", True)]),
        ("Disc bulge at L4–L5 compressing the thecal sac", [("D4", "central", True)]),
        ("No canal stenosis at L3-4.", [("D3", "central", False)]),
        ("The spinal canal shows no narrowing", [(None, "central", False)]),
        ("L4-5: the foramina are patent without narrowing", [("D4", "left", False), ("D4", "right", False)]),
        ("Left foraminal narrowing at L4/5", [("D4", "left", True)]),
        ("Bilateral foraminal stenosis L5-S1", [("D5", "left", True), ("D5", "right", True)]),
        ("Foraminal stenosis at L4-5", [("D4", "left", True), ("D4", "right", True)]),
        ("Right exiting nerve root compression at L5-S1", [("D5", "right", True)]),
        ("L3-4 and L4-5 canal stenosis", [("D3", "central", True), ("D4", "central", True)]),
        ("Canal stenosis from L3-S1", [("D3", "central", True), ("D4", "central", True), ("D5", "central", True)]),
        ("L2-3 canal stenosis", [("L2/3", "central", True)]),
        ("Canal stenosis at all levels", [("D3", "central", True), ("D4", "central", True), ("D5", "central", True)]),
        ("Spinal canal narrowing", [(None, "central", True)]),
        ("Muscle spasm. L4-5 disc bulge.", []),
        ("Normal examination", []),
        ("Canal stenosis at L3-4 without nerve root compression", [("D3", "central", True)]),
        ("L4 5 mm nodule, spinal canal normal, no stenosis", [(None, "central", False)]),
        ("Degenerative narrowing of the L4-5 disc space", []),
    ],
)
def test_mentions_of_a_statement(text, expected):
    assert read_mentions(text) == expected


def test_statements_are_separated():
    text = "No canal stenosis at L3-4, mild left foraminal narrowing at L4-5; severe canal stenosis at L5-S1."
    assert read_mentions(text) == [("D3", "central", False), ("D4", "left", True), ("D5", "central", True)]


def test_but_ends_a_denial():
    assert read_mentions("No foraminal stenosis but canal stenosis at L4-5") == [
        (None, "left", False),
        (None, "right", False),
        ("D4", "central", True),
    ]


def test_and_joins_two_findings():
    assert read_mentions("canal stenosis at L3-4 and right foraminal narrowing at L4-5") == [
        ("D3", "central", True),
        ("D4", "right", True),
    ]


def test_a_statement_may_mention_canal_and_foramen():
    assert read_mentions("L4-5 canal stenosis with left foraminal narrowing") == [
        ("D4", "central", True),
        ("D4", "left", True),
    ]


def test_assertions_and_denials_at_a_level():
    notes = read_notes("Canal stenosis at L4-5. No canal stenosis at L3-4. No foraminal narrowing. Spinal stenosis.")
    assert asserts_stenosis(notes, "D4", "central") is True
    assert asserts_stenosis(notes, "D3", "central") is False
    assert asserts_stenosis(notes, "D5", "central") is None  # an assertion without a level applies to none
    assert asserts_stenosis(notes, "D5", "left") is False  # a denial without a level applies to all
    assert read_notes("") == ()
