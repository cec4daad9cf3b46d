"""pgbackrest.conf, rendered for the version found, compared option by option.

The text comes from a template and says everything we wish for, in any version; options that the
installed version does not know are left out. Secrets are not in the template: they are joined
here, so no template can show them.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import Answer, Ask, Diff, Do, Facts, Need, Resource, State, Value
from pgprovision.errors import InventoryError
from pgprovision.quote import sh
from pgprovision.resources.pgbackrest.info import CONFIG, VERSION, Version, answers, version
from pgprovision.resources.system.file import File
from pgprovision.secret import Secret

CANDIDATE = f"{CONFIG}.candidate"
SINCE: Mapping[str, Version] = {  # pgBackRest's release notes
    "bundle": (2, 39),
    "block": (2, 46),
    "storage-tag": (2, 48),
}
SECRET_OPTIONS = ("s3-key", "s3-key-secret", "s3-token", "cipher-pass")
SOUND_ENCRYPTION: Version = (2, 59, 3)  # before, subkeys may be weak (its release notes)
_REPOSITORY = re.compile(r"repo\d+-(.*)")


def _plain(option: str) -> str:
    """Without the repository's number: repo1-block is block."""
    found = _REPOSITORY.fullmatch(option)
    return found[1] if found else option


def fitting(text: str, found: Version | None) -> str:
    """The text without the options that came after version `found`."""
    lines = text.splitlines(keepends=True)
    return "".join(
        line
        for line in lines
        if found is None or found >= SINCE.get(_plain(line.partition("=")[0].strip()), ())
    )


def _line(option: str, secret: Secret) -> str:
    """The secret as pgBackRest will read it. Raises InventoryError where it would not be one."""
    text = secret.text()
    if not text or text != text.strip() or not text.isprintable():
        what = f"{option} must be one line of text without blanks around it"
        raise InventoryError(what, where=secret.source)
    return text


def options(text: str) -> dict[str, Value]:
    """Every option with its value; `[section] option` outside of [global]. An option given
    several times has all its values. Secret ones as a digest."""
    section, result = "global", dict[str, Value]()
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif line and not line.startswith("#"):
            option, _, value = (part.strip() for part in line.partition("="))
            if _plain(option) in SECRET_OPTIONS:
                value = "sha256:" + hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()
            key = option if section == "global" else f"[{section}] {option}"
            earlier = result.get(key, ())
            several = (*(earlier if isinstance(earlier, tuple) else (earlier,)), value)
            result[key] = several if len(several) > 1 else value
    return result


@dataclass(frozen=True, kw_only=True)
class PgbackrestConf(Resource):
    """The configuration of one stanza. `secrets` are options of [global]. A new text takes the
    place of the old one only after pgBackRest has read the repository with it."""

    kind: ClassVar[str] = "pgbackrest.conf"
    secret_keys: ClassVar[frozenset[str]] = frozenset(
        f"repo{number}-{option}" for number in range(1, 5) for option in SECRET_OPTIONS
    )
    stanza: str
    text: str
    secrets: tuple[tuple[str, Secret], ...] = ()
    version: Version | None = None

    @property
    def name(self) -> str:
        return CONFIG

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.on, VERSION),)

    def settled(self, facts: Facts) -> Self:
        return replace(self, version=version(facts.get(self.on, VERSION)))

    def probe(self) -> Ask:
        return Ask(
            f"[ -f {CONFIG} ] && [ ! -L {CONFIG} ] || exit 4; stat -c '%04a %U:%G' {CONFIG} "
            f"&& cat {CONFIG}"
        )

    def read(self, answer: Answer) -> State | None:
        if answer.code:
            return None
        head, _, text = answer.text.partition("\n")
        mode, owner = head.split(" ")
        found = options(text)
        wished = options(self.content().text())
        state = {key: value for key, value in found.items() if key in wished}
        foreign = tuple(sorted(key for key in found if key not in wished))
        return {**state, "foreign options": foreign, "mode": mode, "owner": owner}

    def desired(self) -> State:
        attributes = {"mode": "0640", "owner": "postgres:postgres"}
        return {**options(self.content().text()), "foreign options": (), **attributes}

    def remarks(self, state: State) -> tuple[str, ...]:
        found = self.version
        if found is None:
            return ()
        said = []
        types = {value for key, value in state.items() if _plain(key) == "cipher-type"}
        if types - {"none"} and found < SOUND_ENCRYPTION:
            number, since = (".".join(map(str, v)) for v in (found, SOUND_ENCRYPTION))
            said.append(
                f"pgBackRest {number} encrypts the repository with subkeys that may be weak, which"
                f" {since} mends: keep the bucket to yourself, and upgrade when it can be had"
            )
        if limit := state.get("archive-push-queue-max"):
            said.append(
                f"beyond {limit} of waiting WAL (archive-push-queue-max) it is dropped: no backup"
                " can be restored past that gap"
            )
        return tuple(said)

    def content(self) -> Secret:
        """The whole file."""
        head, _, rest = fitting(self.text, self.version).partition("[global]\n")
        joined = "".join(f"{option}={_line(option, value)}\n" for option, value in self.secrets)
        shown = "".join(f"{option}={value.shown}\n" for option, value in self.secrets)
        start = f"{head}[global]\n"
        return Secret(f"{start}{joined}{rest}", "pgbackrest.conf", f"{start}{shown}{rest}")

    def change(self, diff: Diff) -> Iterable[Do]:
        if set(diff.keys) <= {"mode", "owner"} and diff.before is not None:
            yield Do(
                f"set mode and owner of {CONFIG}",
                f"chown postgres:postgres {CONFIG} && chmod 0640 {CONFIG}",
            )
            return
        candidate = File(
            on=self.on, path=CANDIDATE, content="", mode="0640", owner="postgres", group="postgres"
        )
        yield Do(
            f"write {CANDIDATE}",
            f"mkdir -p {sh(CONFIG.rpartition('/')[0])}\n{candidate.write_text()}",
            self.content(),
        )
        data = str(options(self.text).get(f"[{self.stanza}] pg1-path", ""))
        yield Do(
            f"read the repository with the new configuration, then make it {CONFIG}",
            f"trap 'rm -f {CANDIDATE}' EXIT\n"
            f"({answers(self.stanza, f'--config={CANDIDATE}', data=data)}) || exit\n"
            f"mv -fT {CANDIDATE} {CONFIG} && sync {sh(CONFIG.rpartition('/')[0])}",
        )
