"""``python -m tests.support.vulnerabilities``: whether a pinned package has a known vulnerability.

The data comes from the package index. Where that cannot be reached the pinned versions are listed instead, so that a
person can look them up; then nothing is known to be wrong, and nothing to be right.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
ACCEPTED: Mapping[str, str] = {}
"""Vulnerabilities by their id that do not concern the gateway, each with the reason."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What the data says of the pinned packages."""

    vulnerable: Sequence[str]
    """A line each: package, version, vulnerability, the versions that mend it."""
    unknown: Sequence[str]
    """Packages of which nothing is known."""
    known: int
    """How many packages something is known of."""


def read(report: Mapping[str, Any]) -> Audit:
    """Read what ``pip-audit --format json`` writes."""
    vulnerable, unknown, known = [], [], 0
    for package in report["dependencies"]:
        if "skip_reason" in package:
            unknown.append(package["name"])
            continue
        known += 1
        for found in package["vulns"]:
            names = {found["id"], *found.get("aliases", ())}
            if not names & ACCEPTED.keys():
                mended = ", ".join(found["fix_versions"]) or "no version yet"
                vulnerable.append(f"{package['name']} {package['version']}: {found['id']}, mended in {mended}")
    return Audit(vulnerable, unknown, known)


def main() -> int:
    """Audit; returns 1 if a package is vulnerable."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(CONSTRAINTS), "--no-deps", "--disable-pip"]
    done = subprocess.run(
        [*command, "--format", "json", "--progress-spinner", "off"], capture_output=True, text=True, check=False
    )
    audit = read(json.loads(done.stdout)) if done.stdout.strip() else Audit((), (), 0)
    if not audit.known:
        print(
            "No data on known vulnerabilities can be reached from here. The pinned versions, to be looked up by hand:"
        )
        print("  " + "\n  ".join(CONSTRAINTS.read_text().split()))
        return 0
    for line in audit.vulnerable:
        print(f"vulnerable: {line}")
    if audit.unknown:
        print(f"nothing is known of {', '.join(audit.unknown)}")
    print(f"{audit.known} packages looked up, {len(audit.vulnerable)} known vulnerabilities")
    return 1 if audit.vulnerable else 0


if __name__ == "__main__":
    sys.exit(main())
