"""Lists the studies of a store by age, and selects those for a report."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from src.errors import ConfigError
from src.study.optuna_internals import id_of_study
from src.study.studies import OptunaStudyManager
from src.study.study_settings import FAILED_RUN_ATTR
from src.suggest import did_you_mean, listing

if TYPE_CHECKING:
    from src.study.optuna_internals import FrozenStudy

N_LISTED = 5
_DEFAULT_NAME = re.compile(r"(?P<target>.+)_(?P<time>\d{8}_\d{6})")
_TIME = "%Y%m%d_%H%M%S"


@dataclass(frozen=True)
class KnownStudy:
    """A study of the store.

    Attributes:
        name: name of the study.
        target: from its settings or its name; None for a study of another program.
    """

    name: str
    target: str | None


def known_studies(manager: OptunaStudyManager) -> list[KnownStudy]:
    """All studies of a store, the most recently created first.

    The order of creation is that of the store; the times in the names come from the clocks of several machines.
    """
    studies = sorted(manager.storage.get_all_studies(), key=lambda study: -id_of_study(study))
    return [KnownStudy(study.study_name, _target_of(study)) for study in studies if not _has_only_failed(study)]


def _has_only_failed(study: "FrozenStudy") -> bool:
    """Whether the study holds only the note that its creation failed, which tells the other pods of the run."""
    return set(study.user_attrs) == {FAILED_RUN_ATTR}


def _target_of(study: "FrozenStudy") -> str | None:
    settings = study.user_attrs.get("settings")
    target = settings.get("target") if isinstance(settings, Mapping) else None
    match = _DEFAULT_NAME.fullmatch(study.study_name)
    if target or match is None:
        return target
    try:
        datetime.strptime(match["time"], _TIME)
    except ValueError:  # digits that are no time, such as the 30th of February
        return None
    return match["target"]


def choose_study(name: str | None, known: Sequence[KnownStudy], store: str) -> str:
    """The study with this name, or the newest.

    Args:
        name: of a study; None for the newest.
        known: from `known_studies`.
        store: its URL without a password, for messages.

    Raises:
        ConfigError: there is no such study, or none at all.
    """
    _refuse_empty(known, store)
    if name is None:
        return known[0].name
    _require(name, known, store)
    return name


def choose_several(words: Sequence[str], known: Sequence[KnownStudy], store: str) -> dict[str, str]:
    """Studies by label, from words that are a target (meaning its newest study), a study name, or `TARGET=STUDY`.

    Args:
        words: at least one; a study that is named twice counts once.
        known: from `known_studies`.
        store: its URL without a password, for messages.

    Returns:
        Study names by label: the target, or the study's name if the target is not unique.

    Raises:
        ConfigError: a word is none of these, or there is no study at all.
    """
    _refuse_empty(known, store)
    labels: dict[str, str] = {}
    for word in words:
        label, study = _choose(word, known, store)
        labels.setdefault(study, label)
    taken = list(labels.values())
    return {label if taken.count(label) == 1 else study: study for study, label in labels.items()}


def _choose(word: str, known: Sequence[KnownStudy], store: str) -> tuple[str, str]:
    """Label and study name for one word."""
    newest = next((study for study in known if word in (study.target, study.name)), None)
    if newest is not None:
        return newest.target or newest.name, newest.name
    label, equals, study = word.partition("=")
    if label and equals:
        _require(study, known, store)
        return label, study
    targets = list(dict.fromkeys(study.target for study in known if study.target))
    close = did_you_mean(word, [*targets, *(study.name for study in known)])
    there_are = f"targets {listing(targets)}; " if targets else ""
    raise ConfigError(
        f"--ensemble {word!r} is neither a target nor a study in {store}{close}: "
        f"there are {there_are}studies {_newest(known)}"
    )


def _require(name: str, known: Sequence[KnownStudy], store: str) -> None:
    names = [study.name for study in known]
    if name not in names:
        close = did_you_mean(name, names)
        raise ConfigError(f"there is no study {name!r} in {store}{close}: the newest are {_newest(known)}")


def _newest(known: Sequence[KnownStudy]) -> str:
    return listing(study.name for study in known[:N_LISTED])


def _refuse_empty(known: Sequence[KnownStudy], store: str) -> None:
    if not known:
        raise ConfigError(f"there is no study in {store} yet: tune first, or name another store")
