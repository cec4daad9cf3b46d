"""Bad files: every problem has its file, line, column, and what is expected instead."""

from pathlib import Path

import pytest

from tests.support.inventory_folders import (
    STATIC_CLUSTER,
    STATIC_PRIMARY,
    InventoryFolder,
    static_inventory,
)


def test_missing_folder_is_one_problem_per_file(tmp_path: Path) -> None:
    assert InventoryFolder(tmp_path / "none").problems() == [
        "cluster.yml:1:1: cannot be read: No such file or directory",
        "nodes:1:1: missing; expected a file nodes/NAME.yml with `role: primary` and `private_ip:`",
    ]


def test_cluster_file_when_a_directory_is_in_its_place(tmp_path: Path) -> None:
    folder = static_inventory(tmp_path)
    (tmp_path / "cluster.yml").unlink()
    (tmp_path / "cluster.yml").mkdir()
    assert folder.only_problem() == "cluster.yml:1:1: cannot be read: Is a directory"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "cluster.yml:1:1: empty; expected a mapping"),
        (b"# nothing\n", "cluster.yml:1:1: empty; expected a mapping"),
        (b"- a\n- b\n", "cluster.yml:1:1: expected a mapping of keys"),
        (b"word\n", "cluster.yml:1:1: expected a mapping of keys"),
        (b"a: 1\nb: [1\n", "cluster.yml:3:1: not YAML: "),
        (b"a:\n\tb: 1\n", "cluster.yml:2:1: not YAML: a tab; expected spaces"),
        (b"a: \xff\n", "cluster.yml:1:4: not UTF-8"),
        (b"a: 1\nb: \x00\n", "cluster.yml:2:4: character U+0000 is not allowed in YAML"),
        (b"a: &x 1\nb: *x\n", "cluster.yml:1:4: anchors and aliases are not supported"),
        (b"a: " + b"[" * 900, "cluster.yml:1:36: nested deeper than 32 levels"),
        (b"a: " + b"[\n" * 10_000, "cluster.yml:33:1: nested deeper than 32 levels"),
        (b"#" * (5 << 20), "cluster.yml:1:1: 5242880 bytes; at most 4194304 are read"),
        (b"[a, b]: 1\n", "cluster.yml:1:1: expected a word as key"),
    ],
)
def test_unreadable_file_is_one_problem(tmp_path: Path, content: bytes, expected: str) -> None:
    folder = static_inventory(tmp_path)
    folder.write("cluster.yml", content)
    assert folder.only_problem().startswith(expected)


@pytest.mark.covers("B5")
def test_nesting_when_the_parser_itself_gives_up_is_reported_alike(tmp_path: Path) -> None:
    """libyaml reads a line ahead; where it ends has moved with its releases."""
    folder = static_inventory(tmp_path)
    folder.write("cluster.yml", b"a: " + b"[" * 10_000)
    assert folder.only_problem().endswith(": nested deeper than 32 levels")


def test_syntax_error_shows_a_caret_and_no_value(tmp_path: Path) -> None:
    folder = static_inventory(tmp_path, "password: [hunter2}\n")
    problem = folder.only_problem()
    assert problem.splitlines()[-1].strip() == "^"
    assert "hunter2" not in problem


def test_second_document_is_refused(tmp_path: Path) -> None:
    assert static_inventory(tmp_path, STATIC_CLUSTER + "---\ncluster: other\n").only_problem() == (
        "cluster.yml:6:1: a second document; expected one per file, without `---`"
    )


def test_duplicate_key_names_both_lines(tmp_path: Path) -> None:
    assert static_inventory(tmp_path, STATIC_CLUSTER + "cluster: other\n").only_problem() == (
        "cluster.yml:6:1: cluster: duplicate key, first in line 1; keep one"
    )


@pytest.mark.parametrize("word", ["no", "on", "Yes", "off", "true"])
def test_word_that_is_a_boolean_when_text_is_required_gets_quotes(
    tmp_path: Path, word: str
) -> None:
    assert static_inventory(tmp_path, STATIC_CLUSTER.replace("hcb-lab", word)).only_problem() == (
        f"cluster.yml:1:10: cluster: '{word}': expected text; write '{word}' in quotes"
    )


@pytest.mark.parametrize("trap", ["010", "0600", "22:30", "0x1F", "1_000", ".inf", ".NaN"])
def test_number_that_readers_disagree_on_is_refused(tmp_path: Path, trap: str) -> None:
    folder = static_inventory(
        tmp_path, STATIC_CLUSTER + f"postgres: {{settings: {{work_mem: {trap}}}}}\n"
    )
    assert folder.only_problem() == (
        f"cluster.yml:6:33: postgres.settings.work_mem: YAML readers disagree on a bare {trap}; "
        f"write '{trap}' in quotes for text, or a plain decimal number"
    )


def test_version_with_a_minor_is_refused(tmp_path: Path) -> None:
    folder = static_inventory(tmp_path, STATIC_CLUSTER + "postgres: {version: 15.10}\n")
    assert folder.only_problem() == (
        "cluster.yml:6:21: postgres.version: '15.10': expected a whole number"
    )


def test_keys_are_always_text(tmp_path: Path) -> None:
    folder = static_inventory(tmp_path, STATIC_CLUSTER.replace("hcb_production", "no"))
    assert list(folder.load().databases) == ["no"]


def test_crlf_and_byte_order_mark_are_read(tmp_path: Path) -> None:
    folder = static_inventory(tmp_path)
    folder.write("cluster.yml", b"\xef\xbb\xbf" + STATIC_CLUSTER.replace("\n", "\r\n").encode())
    assert folder.load().cluster == "hcb-lab"


def test_lookalike_characters_are_named(tmp_path: Path) -> None:
    cluster = (
        STATIC_CLUSTER + "apt: {source: \u201cpgdg\u201d}\nssh: {user:\u00a0me, port:\u00a022}\n"
    )
    assert [line.partition(";")[0] for line in static_inventory(tmp_path, cluster).problems()] == [
        "cluster.yml:6:15: apt.source: curly quotes",
        "cluster.yml:7:7: ssh.'user:\\xa0me': a non-breaking space (U+00A0)",
        "cluster.yml:7:17: ssh.'port:\\xa022': a non-breaking space (U+00A0)",
    ]


def test_non_breaking_space_that_breaks_the_syntax_is_named(tmp_path: Path) -> None:
    problem = static_inventory(tmp_path, STATIC_CLUSTER + "backup:\u00a0\napt: {}\n").only_problem()
    assert "a non-breaking space (U+00A0)" in problem


def test_unknown_tag_is_refused(tmp_path: Path) -> None:
    folder = static_inventory(
        tmp_path, STATIC_CLUSTER.replace("cluster: hcb-lab", "cluster: !vault hcb-lab")
    )
    assert "tag !vault is not supported; expected !env, !file, !command" in folder.only_problem()


def test_problem_in_a_node_file_names_that_file(tmp_path: Path) -> None:
    folder = static_inventory(tmp_path, STATIC_CLUSTER, STATIC_PRIMARY + "colour: red\n")
    assert folder.only_problem().startswith("nodes/db-1.yml:4:1: colour: unknown key; ")


def test_all_problems_come_in_one_report(tmp_path: Path) -> None:
    cluster = STATIC_CLUSTER + "colour: red\npostgres: {port: 0}\nssh: {user: !env NONE_SUCH}\n"
    folder = static_inventory(tmp_path, cluster, STATIC_PRIMARY.replace("primary", "replica"))
    assert [line.split(": ")[0] for line in folder.problems()] == [
        "cluster.yml:6:1",
        "cluster.yml:7:18",
        "cluster.yml:8:13",
        "nodes:1:1",
    ]
