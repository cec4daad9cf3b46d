"""`make seeded`: each mistake into a copy of the checkout, and which test catches it."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.seeded import ROOT, Mistake, apply_words, mistakes
from tests.support.result_files import write_result

NOT_COPIED = shutil.ignore_patterns(
    ".venv", ".git", "__pycache__", ".*_cache", ".hypothesis", ".vagrant", "dist"
)
SECONDS = 300


def main(chosen: list[str]) -> int:
    """The exit code: 0 where all were caught."""
    all_of_them = [m for m in mistakes() if not chosen or any(c in m.path.name for c in chosen)]
    caught: dict[str, str | None] = {}
    with tempfile.TemporaryDirectory(prefix="seeded-") as folder:
        copy = Path(folder, "checkout")
        shutil.copytree(ROOT, copy, ignore=NOT_COPIED, symlinks=True)
        for mistake in all_of_them:
            caught[mistake.path.name] = _try(mistake, copy)
            by = caught[mistake.path.name] or "NOT CAUGHT"
            print(f"{mistake.path.stem} ({mistake.ids}: {mistake.rule})\n    {by}", flush=True)
        clean = _run(copy, sorted({test for m in all_of_them for test in m.tests}))
    if clean:
        print(f"without any mistake this fails too, so the figures mean nothing: {clean}")
    number = sum(by is not None for by in caught.values())
    print(f"caught {number} of {len(caught)}")
    write_result("seeded", {"caught": number, "of": len(caught), "by": caught})
    return 0 if number == len(caught) and not clean else 1


def _try(mistake: Mistake, copy: Path) -> str | None:
    """The test that noticed. Raises CalledProcessError where the patch does not apply."""
    subprocess.run(apply_words(mistake.path), cwd=copy, check=True)
    try:
        return _run(copy, mistake.tests)
    finally:
        subprocess.run(apply_words(mistake.path, "--reverse"), cwd=copy, check=True)


def _run(copy: Path, tests: "tuple[str, ...] | list[str]") -> str | None:
    """The first test that fails; None where all pass."""
    words = [sys.executable, "-m", "pytest", "-x", "-q", "-rfE", "-p", "no:cacheprovider"]
    words += ["-m", "not lab", *tests]
    env = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    env.pop("PGP_RESULTS", None)
    try:
        done = subprocess.run(
            words, cwd=copy, env=env, capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"{' '.join(tests)} (no end after {SECONDS} s)"
    if done.returncode == 0:
        return None
    found = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", done.stdout, re.MULTILINE)
    return found[1] if found else done.stdout[-300:]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
