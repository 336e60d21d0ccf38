"""Several LightGBM models as one: the weighted mean of their raw scores, written as a single model text.

A raw score is the sum of one leaf value per tree, so the weighted mean of models is all their trees together with
every leaf value multiplied by its model's weight. The result is a plain LightGBM model: it loads where any other does,
`pred_contrib` adds up, and a binary one answers with the sigmoid of the mean raw score (not the mean of the
probabilities). Done on LightGBM's text format, which is public and stable; its C interface can scale leaves too, but
one call per leaf, only through private handles of the Python package, and without the values of the inner nodes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_AGREED = ("version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective",
           "feature_names")  # fmt: skip
_SCALED = ("leaf_value=", "internal_value=")


@dataclass(frozen=True)
class _Parts:
    """A model text taken apart.

    Attributes:
        header: its `key=value` lines, in order.
        trees: each tree's lines without the first, `Tree=<i>`.
        parameters: `[name: value]` lines of the training.
    """

    header: dict[str, str]
    trees: list[str]
    parameters: list[str]


def merge_models(texts: Sequence[str], weights: Sequence[float]) -> str:
    """Writes the weighted mean of models as one model.

    Args:
        texts: LightGBM's own format (`Booster.model_to_string()`), one per model, over the same features and with the
            same objective; gbdt, goss and dart, but neither random forests nor linear trees.
        weights: a factor for each model; a mean has factors that add up to 1.

    Returns:
        A text that `lightgbm.Booster(model_str=...)` loads. Parameters are those that all models share.

    Raises:
        ValueError: no model, a weight missing, or models that cannot be added up.
    """
    if not texts or len(texts) != len(weights):
        raise ValueError(f"{len(texts)} models and {len(weights)} weights: give one weight for each of some models")
    parts = [_take_apart(text) for text in texts]
    for name in _AGREED:
        if len({part.header.get(name) for part in parts}) > 1:
            raise ValueError(f"models differ in {name}: merge models of one target and one table")
    scaled = (_scale(tree, weight) for part, weight in zip(parts, weights, strict=True) for tree in part.trees)
    trees = [f"Tree={number}\n{tree}" for number, tree in enumerate(scaled)]
    infos = zip(*(part.header["feature_infos"].split(" ") for part in parts), strict=True)
    header = parts[0].header | {
        "feature_infos": " ".join(_join_infos(of_feature) for of_feature in infos),
        "tree_sizes": " ".join(str(len(tree.encode())) for tree in trees),
    }
    shared = [line for line in parts[0].parameters if all(line in part.parameters for part in parts[1:])]
    return "\n".join([
        "tree", *(f"{key}={value}" for key, value in header.items()), "",
        "".join(trees) + "end of trees", "",
        "parameters:", *shared, "", "end of parameters", "", "pandas_categorical:null", "",
    ])  # fmt: skip


def _take_apart(text: str) -> _Parts:
    head, _, rest = text.partition("\n\n")
    body, _, tail = rest.partition("end of trees")
    kind, *lines = head.split("\n")
    if kind != "tree" or any("=" not in line for line in lines):
        raise ValueError(f"model of kind {kind!r} is no sum of trees: merge gbdt, goss or dart models")
    trees = [tree.partition("\n")[2] for tree in body.split("Tree=")[1:]]
    if any("\nis_linear=1" in tree for tree in trees):
        raise ValueError("a model has linear trees, whose leaves are no numbers: train without linear_tree")
    parameters = tail.partition("parameters:\n")[2].partition("\n\nend of parameters")[0]
    header = dict(line.split("=", 1) for line in lines)
    return _Parts(header, trees, parameters.split("\n"))


def _scale(tree: str, weight: float) -> str:
    return "\n".join(_scale_line(line, weight) if line.startswith(_SCALED) else line for line in tree.split("\n"))


def _scale_line(line: str, weight: float) -> str:
    """`repr` gives the shortest text that reads back as the same number."""
    name, _, values = line.partition("=")
    return f"{name}=" + " ".join(repr(float(value) * weight) for value in values.split())


def _join_infos(infos: Iterable[str]) -> str:
    """What the models say of one feature's values, as one: `[low:high]`, categories `3:0:7`, `none` for a constant.

    They differ where binning does: with few bins, rare categories are left out.
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
