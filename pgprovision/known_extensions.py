"""PostgreSQL's extensions that need more than `create extension`: a package, a library that is
loaded when the server starts, a schema. Any other extension needs nothing from here.

Package names are Debian's; PostgreSQL's own repository (PGDG) has the same ones.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class KnownExtension:
    """What one extension needs before `create extension` works."""

    name: str
    package: str = ""
    """Its Debian package without `postgresql-15-`; empty: it is in the server's own package."""
    vendor_package: str = ""
    """The package in its makers' own repository, `{version}` for PostgreSQL's."""
    requires: tuple[str, ...] = ()
    """Extensions that are created before it."""
    create_in: str = "public"
    """The schema it is created in; empty: the one its control file names."""
    library: str = ""
    """Its entry in `shared_preload_libraries`, without which it does not work."""
    runs_jobs: bool = False
    """Its library changes data by itself, so a restored copy does not load it."""
    one_database: bool = False
    """It works in one database of the server."""

    def packages(self, version: int) -> tuple[str, ...]:
        """Any of these brings it; the first is the distribution's and PGDG's."""
        names = (
            f"postgresql-{version}-{self.package}" if self.package else "",
            self.vendor_package.format(version=version),
        )
        return tuple(name for name in names if name)


KNOWN_EXTENSIONS: Mapping[str, KnownExtension] = MappingProxyType(
    {
        extension.name: extension
        for extension in (
            KnownExtension(name="pg_stat_statements", library="pg_stat_statements"),
            KnownExtension(
                name="pg_cron",
                package="cron",
                create_in="",
                library="pg_cron",
                runs_jobs=True,
                one_database=True,
            ),
            KnownExtension(name="pg_partman", package="partman", create_in="partman"),
            KnownExtension(name="pg_repack", package="repack"),
            KnownExtension(name="postgis", package="postgis-3"),
            KnownExtension(name="postgis_raster", package="postgis-3", requires=("postgis",)),
            KnownExtension(
                name="postgis_topology", package="postgis-3", requires=("postgis",), create_in=""
            ),
            KnownExtension(
                name="timescaledb",
                package="timescaledb",
                vendor_package="timescaledb-2-postgresql-{version}",
                library="timescaledb",
            ),
            KnownExtension(name="vector", package="pgvector"),
        )
    }
)
LANGUAGES = {"plperl": "plperl", "plperlu": "plperl", "plpython3u": "plpython3", "pltcl": "pltcl"}

# PostgreSQL's version says which Debian it is: 15 is Debian 12's, 17 is Debian 13's.
DEBIAN_RELEASES = MappingProxyType({15: "Debian 12", 17: "Debian 13"})
_NOT_IN_DEBIAN: Mapping[int, frozenset[str]] = MappingProxyType(
    {15: frozenset({"vector", "timescaledb"})}
)


def extension_package(extension: str, version: int) -> str:
    """The package that an extension is most likely to be found in."""
    if language := LANGUAGES.get(extension):
        return f"postgresql-{language}-{version}"
    known = KNOWN_EXTENSIONS.get(extension)
    if known is not None:
        return next(iter(known.packages(version)), f"postgresql-{version}")
    return f"postgresql-{version}-{extension.replace('_', '-')}"


def required_package(extension: str, version: int, declared: Container[str]) -> str:
    """The package to install for an extension; none where it needs none, or where one that brings
    it is among the `declared` ones."""
    known = KNOWN_EXTENSIONS.get(extension)
    names = known.packages(version) if known else ()
    return "" if any(name in declared for name in names) else next(iter(names), "")


def in_debian(extension: str, version: int) -> bool:
    """Whether the Debian release of that PostgreSQL has the package; where the release is not
    known, apt decides."""
    return extension not in _NOT_IN_DEBIAN.get(version, ())


def creation_order(extensions: Iterable[str]) -> Iterator[str]:
    """The declared extensions and those they require, each once and after what it requires."""
    done: set[str] = set()
    for extension in extensions:
        known = KNOWN_EXTENSIONS.get(extension)
        for name in (*creation_order(known.requires if known else ()), extension):
            if name not in done:
                done.add(name)
                yield name
