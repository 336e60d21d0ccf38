from pathlib import Path

import pytest

from src.errors import ConfigError
from src.model_settings import SpaceSettings
from src.space_file import space_settings


def read(folder: Path, text: str) -> SpaceSettings:
    path = folder / "space.yaml"
    path.write_text(text)
    return space_settings(str(path))


def test_a_name_is_a_whole_space() -> None:
    assert space_settings("seed") == SpaceSettings()
    assert space_settings("wide") == SpaceSettings("wide")
    with pytest.raises(ConfigError, match=r"'wid' is unknown \(did you mean 'wide'\?\): use seed, wide or a FILE"):
        space_settings("wid")


def test_a_file_has_ranges_choices_and_fixed_values(tmp_path: Path) -> None:
    text = "base: wide\nnum_leaves: [2, 64]\nboosting_type: [gbdt]\nextra_trees: true\nlambda_l1: [1e-3, 1]\n"
    found = read(tmp_path, text)
    assert found == SpaceSettings(
        "wide", {"num_leaves": (2, 64), "boosting_type": ("gbdt",), "extra_trees": True, "lambda_l1": (1e-3, 1)}
    )
    assert repr(found).startswith("wide with boosting_type ('gbdt',), extra_trees True, lambda_l1 (0.001, 1)")
    assert read(tmp_path, "learning_rate: 0.05\n") == SpaceSettings("seed", {"learning_rate": 0.05})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no keys with values: write for example `num_leaves: "),
        ("- num_leaves", "has no keys with values"),
        ("base: wild", "key `base`: --space 'wild' is unknown"),
        ("num_leaves: {low: 2}", "`num_leaves` is \"{'low': 2}\": write a range"),
        ("num_leaves: []", "`num_leaves` is '\\[\\]': write a range"),
        ("num_leaves: 5\nnum_leaves: 6", "line 2: the key 'num_leaves' is repeated: correct the YAML"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").touch()
    with pytest.raises(ConfigError, match=r"--space .*spaces.yaml does not exist \(did you mean 'space.yaml'\?\)"):
        space_settings(str(tmp_path / "spaces.yaml"))
