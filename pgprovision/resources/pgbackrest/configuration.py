"""pgbackrest.conf, rendered for the installed version, compared option by option.

The text comes from a template and has every option that is declared, in any version; those that the
installed version does not know are left out. Secrets are not in the template: they are added here,
so no template can show them.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import (
    Action,
    Answer,
    Diff,
    Facts,
    Need,
    Probe,
    Resource,
    State,
    Value,
    WithNeeds,
    WithNotes,
    WithSecrets,
)
from pgprovision.errors import InventoryError
from pgprovision.quote import sh
from pgprovision.resources.pgbackrest.info import (
    CONFIG_FILE,
    VERSION_PROBE,
    PgbackrestVersion,
    check_readable,
    parse_version,
)
from pgprovision.resources.system.file import File
from pgprovision.secret import Secret

CANDIDATE_FILE = f"{CONFIG_FILE}.candidate"
OPTION_VERSIONS: Mapping[str, PgbackrestVersion] = {  # pgBackRest's release notes
    "bundle": (2, 39),
    "block": (2, 46),
    "storage-tag": (2, 48),
}
SECRET_OPTIONS = ("s3-key", "s3-key-secret", "s3-token", "cipher-pass")
FIXED_ENCRYPTION_VERSION: PgbackrestVersion = (
    2,
    59,
    3,
)  # before, subkeys may be weak (its release notes)
_REPOSITORY = re.compile(r"repo\d+-(.*)")


def _base_option(option: str) -> str:
    """An option without the repository's number: repo1-block is block."""
    found = _REPOSITORY.fullmatch(option)
    return found[1] if found else option


def supported_text(text: str, installed: PgbackrestVersion | None) -> str:
    """The text without the options that are newer than version `installed`."""
    lines = text.splitlines(keepends=True)
    return "".join(
        line
        for line in lines
        if installed is None
        or installed >= OPTION_VERSIONS.get(_base_option(line.partition("=")[0].strip()), ())
    )


def _checked_secret(option: str, secret: Secret) -> str:
    """The secret as pgBackRest will read it. Raises InventoryError where that differs."""
    text = secret.text()
    if not text or text != text.strip() or not text.isprintable():
        message = f"{option} must be one line of text without blanks around it"
        raise InventoryError(message, where=secret.source)
    return text


def parse_options(text: str) -> dict[str, Value]:
    """Every option with its value; `[section] option` outside of [global]. An option that is given
    several times has all its values. Secrets are digests."""
    section, result = "global", dict[str, Value]()
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif line and not line.startswith("#"):
            option, _, value = (part.strip() for part in line.partition("="))
            if _base_option(option) in SECRET_OPTIONS:
                value = "sha256:" + hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()
            key = option if section == "global" else f"[{section}] {option}"
            earlier = result.get(key, ())
            several = (*(earlier if isinstance(earlier, tuple) else (earlier,)), value)
            result[key] = several if len(several) > 1 else value
    return result


SECRET_KEYS = frozenset(
    f"repo{number}-{option}" for number in range(1, 5) for option in SECRET_OPTIONS
)


@dataclass(frozen=True, kw_only=True)
class PgbackrestConf(Resource, WithNeeds, WithNotes, WithSecrets):
    """The configuration of one stanza. A new file replaces the old one only after pgBackRest has
    read the repository with it."""

    kind: ClassVar[str] = "pgbackrest.conf"
    stanza: str
    text: str
    """The rendered template."""
    secrets: tuple[tuple[str, Secret], ...] = ()
    """Options of [global] with secret values."""
    version: PgbackrestVersion | None = None
    """A fact: the installed version; None: not installed yet."""

    @property
    def name(self) -> str:
        return CONFIG_FILE

    @property
    def secret_keys(self) -> frozenset[str]:
        return SECRET_KEYS

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.on, VERSION_PROBE),)

    def resolved(self, facts: Facts) -> Self:
        return replace(self, version=parse_version(facts.get(self.on, VERSION_PROBE)))

    def probe(self) -> Probe:
        return Probe(
            f"[ -f {CONFIG_FILE} ] && [ ! -L {CONFIG_FILE} ] || exit 4; "
            f"stat -c '%04a %U:%G' {CONFIG_FILE} && cat {CONFIG_FILE}"
        )

    def read(self, answer: Answer) -> State | None:
        if answer.code:
            return None
        head, _, text = answer.text.partition("\n")
        mode, owner = head.split(" ")
        current = parse_options(text)
        desired = parse_options(self.content().text())
        state = {key: value for key, value in current.items() if key in desired}
        foreign = tuple(sorted(key for key in current if key not in desired))
        return {**state, "unmanaged options": foreign, "mode": mode, "owner": owner}

    def desired(self) -> State:
        attributes = {"mode": "0640", "owner": "postgres:postgres"}
        return {**parse_options(self.content().text()), "unmanaged options": (), **attributes}

    def notes(self, state: State) -> tuple[str, ...]:
        installed = self.version
        if installed is None:
            return ()
        messages = []
        types = {value for key, value in state.items() if _base_option(key) == "cipher-type"}
        if types - {"none"} and installed < FIXED_ENCRYPTION_VERSION:
            number, since = (".".join(map(str, v)) for v in (installed, FIXED_ENCRYPTION_VERSION))
            messages.append(
                f"pgBackRest {number} encrypts the repository with subkeys that may be weak, "
                f"fixed in {since}: keep the bucket private, and upgrade when it is available"
            )
        if limit := state.get("archive-push-queue-max"):
            messages.append(
                f"above {limit} (archive-push-queue-max), waiting WAL is dropped: no backup can be"
                " restored past that gap"
            )
        return tuple(messages)

    def content(self) -> Secret:
        """The complete file."""
        head, _, rest = supported_text(self.text, self.version).partition("[global]\n")
        joined = "".join(
            f"{option}={_checked_secret(option, value)}\n" for option, value in self.secrets
        )
        redacted = "".join(f"{option}={value.redacted}\n" for option, value in self.secrets)
        start = f"{head}[global]\n"
        return Secret(f"{start}{joined}{rest}", "pgbackrest.conf", f"{start}{redacted}{rest}")

    def change(self, diff: Diff) -> Iterable[Action]:
        if set(diff.keys) <= {"mode", "owner"} and diff.before is not None:
            yield Action(
                f"set mode and owner of {CONFIG_FILE}",
                f"chown postgres:postgres {CONFIG_FILE} && chmod 0640 {CONFIG_FILE}",
            )
            return
        candidate = File(
            on=self.on,
            path=CANDIDATE_FILE,
            content="",
            mode="0640",
            owner="postgres",
            group="postgres",
        )
        yield Action(
            f"write {CANDIDATE_FILE}",
            f"mkdir -p {sh(CONFIG_FILE.rpartition('/')[0])}\n{candidate.write_command()}",
            self.content(),
        )
        data = str(parse_options(self.text).get(f"[{self.stanza}] pg1-path", ""))
        yield Action(
            f"read the repository with the new configuration, then make it {CONFIG_FILE}",
            f"trap 'rm -f {CANDIDATE_FILE}' EXIT\n"
            f"({check_readable(self.stanza, f'--config={CANDIDATE_FILE}', data=data)}) || exit\n"
            f"mv -fT {CANDIDATE_FILE} {CONFIG_FILE} && sync {sh(CONFIG_FILE.rpartition('/')[0])}",
        )
