"""Files and directories, written completely: a file is the old one or the new one, never half."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import ClassVar

from pgprovision.engine.model import Action, Answer, Diff, Probe, Resource, State, WithSecrets
from pgprovision.quote import sh
from pgprovision.secret import Secret


def _attributes(path: str, mode: str, owner: str, group: str) -> str:
    return f"{sh('chown', f'{owner}:{group}', path)} && {sh('chmod', mode, path)}"


@dataclass(frozen=True, kw_only=True)
class File(Resource, WithSecrets):
    """A regular file."""

    kind: ClassVar[str] = "file"
    path: str
    content: str | Secret | None
    """None declares it absent; a Secret is compared by digest only."""
    mode: str = "0644"
    owner: str = "root"
    group: str = "root"

    @property
    def name(self) -> str:
        return self.path

    @property
    def secret_keys(self) -> frozenset[str]:
        return frozenset({"content"} if isinstance(self.content, Secret) else ())

    def probe(self) -> Probe:
        show = "sha256sum <" if isinstance(self.content, Secret) else "cat "
        path = sh(self.path)
        return Probe(
            f"[ -f {path} ] && [ ! -L {path} ] || exit 4\nstat -c '%04a %U %G' {path}\n{show}{path}"
        )

    def read(self, answer: Answer) -> State | None:
        if answer.code == 4:
            return None
        head, _, content = answer.text.partition("\n")
        mode, owner, group = head.split(" ")
        if isinstance(self.content, Secret):
            content = "sha256:" + content.split(" ")[0]
        return {"content": content, "mode": mode, "owner": owner, "group": group}

    def desired(self) -> State | None:
        if self.content is None:
            return None
        content = self.content
        if isinstance(content, Secret):
            content = "sha256:" + hashlib.sha256(content.text().encode()).hexdigest()
        return {"content": content, "mode": self.mode, "owner": self.owner, "group": self.group}

    def change(self, diff: Diff) -> Iterable[Action]:
        if self.content is None:
            yield Action(f"remove {self.path}", sh("rm", "-f", self.path))
        elif diff.changed("content"):
            stdin = self.content if isinstance(self.content, Secret) else self.content.encode()
            yield Action(f"write {self.path}", self.write_command(), stdin)
        else:
            yield Action(
                f"set mode and owner of {self.path}",
                _attributes(self.path, self.mode, self.owner, self.group),
            )

    def write_command(self, check: str = ":") -> str:
        """Shell text that takes the content on stdin: written to a temporary file, synced, then
        renamed.

        `set -C` opens that file exclusively, so a link in its place is not followed. `check` is
        shell text that checks the file `$new`; when it fails, the old file stays.
        """
        path = PurePosixPath(self.path)
        new = str(path.parent / f".{path.name}.pgprovision-new")
        return (
            f'set -e; umask 077; new={sh(new)}; rm -f "$new"; set -C; cat >"$new"; set +C\n'
            f"{_attributes(new, self.mode, self.owner, self.group)}\n{check}\n"
            f"{sh('sync', new)}; {sh('mv', '-fT', new, self.path)}; {sh('sync', str(path.parent))}"
        )


@dataclass(frozen=True, kw_only=True)
class Directory(Resource):
    """A directory and its attributes. Its content is left alone."""

    kind: ClassVar[str] = "directory"
    path: str
    mode: str = "0755"
    owner: str = "root"
    group: str = "root"

    @property
    def name(self) -> str:
        return self.path

    def probe(self) -> Probe:
        path = sh(self.path)
        return Probe(f"[ -d {path} ] && [ ! -L {path} ] || exit 4; stat -c '%04a %U %G' {path}")

    def read(self, answer: Answer) -> State | None:
        if answer.code == 4:
            return None
        mode, owner, group = answer.text.split()
        return {"mode": mode, "owner": owner, "group": group}

    def desired(self) -> State:
        return {"mode": self.mode, "owner": self.owner, "group": self.group}

    def change(self, diff: Diff) -> Iterable[Action]:
        make = "" if diff.before is not None else f"{sh('mkdir', '-p', self.path)} && "
        yield Action(
            f"directory {self.path}",
            make + _attributes(self.path, self.mode, self.owner, self.group),
        )
