"""What is read from an audit of the pinned packages."""

from __future__ import annotations

from tests.support.vulnerabilities import ACCEPTED, CONSTRAINTS, read


def test_vulnerable_package_is_told_with_the_versions_that_mend_it() -> None:
    found = {"id": "PYSEC-2030-1", "fix_versions": ["2.0", "2.1"], "aliases": ["CVE-2030-1"]}
    audit = read({"dependencies": [{"name": "thing", "version": "1.0", "vulns": [found]}]})
    assert audit.vulnerable == ["thing 1.0: PYSEC-2030-1, mended in 2.0, 2.1"]
    assert audit.known == 1


def test_package_without_data_counts_as_unknown_and_not_as_well() -> None:
    audit = read(
        {
            "dependencies": [
                {"name": "strange", "skip_reason": "Dependency not found"},
                {"name": "well", "version": "1", "vulns": []},
            ]
        }
    )
    assert (audit.unknown, audit.known, audit.vulnerable) == (["strange"], 1, [])


def test_every_accepted_vulnerability_has_a_reason() -> None:
    assert all(len(reason) > 20 for reason in ACCEPTED.values())


def test_every_package_is_pinned_to_one_version() -> None:
    assert all("==" in line for line in CONSTRAINTS.read_text().split())
