from __future__ import annotations

from pathlib import Path

import pytest

from hwval.errors import MatrixError
from hwval.yamlfile import WrittenFloat
from hwval.yamlfile import load_yaml


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "x.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_values_keep_their_lines(tmp_path: Path) -> None:
    """Every key and list item knows its line, also inside lists and flow mappings."""
    file = load_yaml(write(tmp_path, "a:\n  - 1\n  - {b: x,\n     c: y}\n# no\nd: true\n"))

    assert file.content == {"a": [1, {"b": "x", "c": "y"}], "d": True}
    places = [("a",), ("a", 0), ("a", 1), ("a", 1, "c"), ("d",)]
    assert [file.line(place) for place in places] == [1, 2, 3, 4, 6]


def test_unknown_place_is_cut_to_the_known_part(tmp_path: Path) -> None:
    """An error at a place that the file does not hold points to what is around it."""
    file = load_yaml(write(tmp_path, "a:\n  b: 1\n"))

    error = file.error("odd", ("a", "b", "str", 3))

    assert str(error) == f"{tmp_path}/x.yaml:2: a.b: odd"
    assert (error.file, error.line) == (f"{tmp_path}/x.yaml", 2)


def test_number_remembers_how_it_was_written(tmp_path: Path) -> None:
    """A version that YAML takes for a number is still known as written."""
    value = load_yaml(write(tmp_path, "a: 0.10")).content["a"]

    assert isinstance(value, WrittenFloat)
    assert (value, value.text) == (0.1, "0.10")


def test_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    """A file saved with a byte order mark reads as one without."""
    assert load_yaml(write(tmp_path, b"\xef\xbb\xbfa: 1")).content == {"a": 1}


def test_alias_repeats_a_value(tmp_path: Path) -> None:
    """An alias stands for the value of its anchor."""
    assert load_yaml(write(tmp_path, "a: &x [1]\nb: *x")).content == {"a": [1], "b": [1]}


BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 9)
)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param("", "1: found nothing, expected keys and values", id="empty"),
        pytest.param("word", "1: found one word, expected keys and values", id="word"),
        pytest.param("- 1", "1: found a list, expected keys and values", id="list"),
        pytest.param("a: 1\na: 2", "2: key 'a' stands twice, first in line 1", id="twice"),
        pytest.param("a:\n\t- b", "2: not YAML: indented by a tab; use spaces", id="tab"),
        pytest.param(
            "a: 1\nb: {c: 1",
            "3: not YAML: while parsing a flow mapping, did not find expected ',' or '}'",
            id="unclosed",
        ),
        pytest.param("a: 1\nb: \x01", "2: not YAML: control characters", id="control-character"),
        pytest.param(b"a: 1\nb: \xff", "2: not UTF-8: invalid start byte", id="not-utf8"),
        pytest.param(
            "a: 1\n---\nb: 2", "2: not YAML: expected a single document", id="two-documents"
        ),
        pytest.param("a: *x", "1: not YAML: found undefined alias", id="undefined-alias"),
        pytest.param("a: &a\n  - *a", "1: aliases make this file too large", id="recursive-alias"),
        pytest.param(BOMB, "1: aliases make this file too large", id="alias-bomb"),
        pytest.param("a: " + "[" * 200_000, "1: nested deeper than 40 levels", id="deep"),
        pytest.param("<<: {a: 1}", "1: merge keys (<<) are not allowed", id="merge-key"),
        pytest.param("1: 2", "1: a key must be text: 1; quote it", id="number-key"),
        pytest.param("? [a]\n: b", "1: a key must be text", id="list-key"),
        pytest.param("a: !!python/name:os.system", "1: tag 'python/name:os.system'", id="tag"),
        pytest.param("a: !b {c: 1}", "1: tag '!b' is not allowed", id="tagged-mapping"),
        pytest.param(
            "a: no",
            '1: unquoted no is true or false to YAML; write true or false, or quote it: "no"',
            id="no",
        ),
        pytest.param("on: 1", "1: unquoted on is true or false to YAML", id="on-key"),
        pytest.param(
            "a: 1:30",
            '1: unquoted 1:30 means something else to YAML; quote it: "1:30"',
            id="base-60",
        ),
        pytest.param("a: 010", "1: unquoted 010 means something else", id="octal"),
        pytest.param("a: .nan", "1: unquoted .nan means something else", id="nan"),
        pytest.param("a: 2027-02-30", "1: unquoted 2027-02-30 means something", id="no-date"),
    ],
)
def test_refused_with_its_line(tmp_path: Path, content: str | bytes, problem: str) -> None:
    """What cannot be read, or would be read as something else, is one line with its position."""
    path = write(tmp_path, content)

    with pytest.raises(MatrixError) as caught:
        load_yaml(path)

    assert str(caught.value).startswith(f"{path}:{problem}")
    assert "\n" not in str(caught.value)


def test_missing_file_names_near_matches(tmp_path: Path) -> None:
    """A file that is not there is an error that knows its neighbours."""
    (tmp_path / "smoke.yaml").touch()

    with pytest.raises(MatrixError) as caught:
        load_yaml(tmp_path / "smok.yaml")

    assert str(caught.value) == (
        f"{tmp_path}/smok.yaml: cannot be read: no such file or directory; "
        "did you mean 'smoke.yaml'?"
    )


def test_folder_cannot_be_read(tmp_path: Path) -> None:
    """A folder in place of a file is refused."""
    with pytest.raises(MatrixError, match=r"cannot be read: is a directory$"):
        load_yaml(tmp_path)


def test_huge_file_is_refused(tmp_path: Path) -> None:
    """A file that nobody wrote by hand is not parsed."""
    with pytest.raises(MatrixError, match=r"x\.yaml: larger than 16 MiB"):
        load_yaml(write(tmp_path, b"#" * (16 * 2**20 + 1)))
