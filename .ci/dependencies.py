"""Every dependency's licence is on the list, and no crate that we link is there twice unless named."""

import json
import subprocess
import sys

ALLOWED = {
    "MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "ISC",
    "Unicode-3.0", "Zlib", "0BSD", "Unlicense", "CC0-1.0", "MIT-0", "BSL-1.0",
    # Of data: the certificates that webpki-roots, which sqlx brings, is made of. It asks of whoever
    # passes the data on to pass the text on, and nothing of what is made with it.
    "CDLA-Permissive-2.0",
}
# Of what is only measured beside ours (casbin), and linked into nothing but the benches.
MEASURED = {"smartstring": "MPL-2.0+"}
# Crates that stand in the tree twice, with the reason.
TWICE = json.load(open(".ci/duplicates.json"))


def licensed(expression: str) -> bool:
    """SPDX: OR needs one side, AND needs both."""
    expression = expression.replace("/", " OR ").strip()
    for operator, decide in ((" OR ", any), (" AND ", all)):
        depth, parts, start = 0, [], 0
        for index, character in enumerate(expression):
            depth += (character == "(") - (character == ")")
            if depth == 0 and expression.startswith(operator, index):
                parts.append(expression[start:index])
                start = index + len(operator)
        if parts:
            return decide(licensed(part) for part in [*parts, expression[start:]])
    if expression.startswith("(") and expression.endswith(")"):
        return licensed(expression[1:-1])
    return expression in ALLOWED


def run(*arguments: str) -> str:
    return subprocess.run(["cargo", *arguments], check=True, capture_output=True, text=True).stdout


metadata = json.loads(run("metadata", "--format-version", "1", "--all-features", "--locked"))
bad = [
    f"{package['name']} {package['version']}: {package['license']}"
    for package in metadata["packages"]
    if not licensed(package["license"] or "")
    and MEASURED.get(package["name"]) != package["license"]
]

# What library users link: normal dependencies of the five crates.
linked: dict[str, set[str]] = {}
for crate in ("zt-core", "zt-jwt", "zt-mtls", "zt-ratelimit", "zt-audit"):
    tree = run("tree", "-p", crate, "--all-features", "--edges", "normal", "--prefix", "none", "--locked")
    for line in tree.splitlines():
        name, version = line.split()[:2]
        linked.setdefault(name, set()).add(version)
twice = {name for name, versions in linked.items() if len(versions) > 1}
problems = [f"licence: {line}" for line in bad]
problems += [f"linked, and only measured: {name}" for name in sorted(linked.keys() & MEASURED.keys())]
problems += [f"twice: {name} {sorted(linked[name])}" for name in sorted(twice - TWICE.keys())]
problems += [f"no longer twice: {name}" for name in sorted(TWICE.keys() - twice)]
print("\n".join(problems) or f"{len(metadata['packages'])} packages, licences good, duplicates as listed")
sys.exit(bool(problems))
