"""Merges several LightGBM models into one model text: the weighted mean of their raw scores.

A raw score is the sum of one leaf value per tree, so the weighted mean of models consists of all their trees, with
every leaf value multiplied by the weight of its model. The result is a normal LightGBM model: it loads anywhere,
`pred_contrib` adds up, and a binary model returns the sigmoid of the mean raw score (not the mean of
probabilities). It uses LightGBM's text format, which is public and stable. The C API can scale leaves too, but needs
one call per leaf and private handles of the Python package, and does not scale the values of inner nodes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_EQUAL_FIELDS = ("version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective",
           "feature_names")  # fmt: skip
_SCALED_FIELDS = ("leaf_value=", "internal_value=")


@dataclass(frozen=True)
class _Parts:
    """A parsed model text.

    Attributes:
        header: the `key=value` lines, in order.
        trees: the lines of each tree without the first one, `Tree=<i>`.
        parameters: the `[name: value]` lines.
    """

    header: dict[str, str]
    trees: list[str]
    parameters: list[str]


def merge_models(texts: Sequence[str], weights: Sequence[float]) -> str:
    """Writes the weighted mean of models as one model.

    Args:
        texts: LightGBM's own format (`Booster.model_to_string()`), one per model, over the same features and with the
            same objective; gbdt, goss and dart, but neither random forests nor linear trees.
        weights: one factor per model; for a mean they add up to 1.

    Returns:
        A text for `lightgbm.Booster(model_str=...)`, with the parameters that all models share.

    Raises:
        ValueError: there is no model, a weight is missing, or the models cannot be merged.
    """
    if not texts or len(texts) != len(weights):
        raise ValueError(f"{len(texts)} models and {len(weights)} weights: give one weight per model, at least one")
    parts = [_parse(text) for text in texts]
    for name in _EQUAL_FIELDS:
        if len({part.header.get(name) for part in parts}) > 1:
            raise ValueError(f"models differ in {name}: merge models of one target and one table")
    scaled = (_scale(tree, weight) for part, weight in zip(parts, weights, strict=True) for tree in part.trees)
    trees = [f"Tree={number}\n{tree}" for number, tree in enumerate(scaled)]
    infos = zip(*(part.header["feature_infos"].split(" ") for part in parts), strict=True)
    header = parts[0].header | {
        "feature_infos": " ".join(_join_infos(feature_infos) for feature_infos in infos),
        "tree_sizes": " ".join(str(len(tree.encode())) for tree in trees),
    }
    shared = [line for line in parts[0].parameters if all(line in part.parameters for part in parts[1:])]
    return "\n".join([
        "tree", *(f"{key}={value}" for key, value in header.items()), "",
        "".join(trees) + "end of trees", "",
        "parameters:", *shared, "", "end of parameters", "", "pandas_categorical:null", "",
    ])  # fmt: skip


def _parse(text: str) -> _Parts:
    head, _, rest = text.partition("\n\n")
    body, _, tail = rest.partition("end of trees")
    kind, *lines = head.split("\n")
    if kind != "tree" or any("=" not in line for line in lines):
        raise ValueError(f"model of kind {kind!r} is not a sum of trees: merge gbdt, goss or dart models")
    trees = [tree.partition("\n")[2] for tree in body.split("Tree=")[1:]]
    if any("\nis_linear=1" in tree for tree in trees):
        raise ValueError("a model has linear trees, whose leaves are not constants: train without linear_tree")
    parameters = tail.partition("parameters:\n")[2].partition("\n\nend of parameters")[0]
    header = dict(line.split("=", 1) for line in lines)
    return _Parts(header, trees, parameters.split("\n"))


def _scale(tree: str, weight: float) -> str:
    return "\n".join(
        _scale_line(line, weight) if line.startswith(_SCALED_FIELDS) else line for line in tree.split("\n")
    )


def _scale_line(line: str, weight: float) -> str:
    """Scales the values of a line; `repr` gives the shortest text that parses to the same number."""
    name, _, values = line.partition("=")
    return f"{name}=" + " ".join(repr(float(value) * weight) for value in values.split())


def _join_infos(infos: Iterable[str]) -> str:
    """Merges the `feature_infos` of one feature: `[low:high]`, categories `3:0:7`, or `none` for a constant.

    They differ if the binning differs: with few bins, rare categories are left out.
    """
    known = [info for info in dict.fromkeys(infos) if info != "none"]
    if len(known) < 2:
        return known[0] if known else "none"
    if all(info.startswith("[") for info in known):
        bounds = [info.strip("[]").split(":") for info in known]
        low, high = min((b[0] for b in bounds), key=float), max((b[1] for b in bounds), key=float)
        return f"[{low}:{high}]"
    return ":".join(dict.fromkeys(_categories(known)))


def _categories(infos: Iterable[str]) -> Iterator[str]:
    for info in infos:
        yield from info.split(":")
