"""What a command was asked for: its options, which of them were given, and what a study says of the others.

A study knows how it was made (`study_options`). Whoever goes on with it by its name alone gets the same; whoever gives
an option as well has it, unless it would make scores that cannot be compared: that is told when the study is opened.
"""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from src.cli import chosen_targets, given_options, run_settings
from src.config import RunSettings, SearchSettings
from src.errors import ConfigError

StudyOptions = Mapping[str, Any]


@dataclass(frozen=True)
class CommandLine:
    """A parsed command line.

    Attributes:
        args: every option with its value or default.
        given: names of those that the user gave.
        wait: seconds to wait for a store that is not there yet.
    """

    args: Namespace
    given: frozenset[str]
    wait: float = 0.0

    def settings(self, study_options: StudyOptions | None = None, study_name: str | None = None) -> RunSettings:
        """The settings, with those of a study where none were given.

        Raises:
            ConfigError: a value is out of range, or the study does not say where its table lies.
        """
        if study_options is None:
            settings = run_settings(self.args)
            return replace(settings, search=replace(settings.search, wait_for_store=self.wait))
        from src.study.study_options import table_from_json, with_study_options

        settings = run_settings(
            with_study_options(self.args, self.given, study_options, study_name or self.args.study_name)
        )
        if "config" not in self.given:
            settings = replace(settings, data=replace(settings.data, table=table_from_json(study_options["table"])))
        keep = "n_trials" not in self.given
        return replace(settings, search=replace(settings.search, keep_total=keep, wait_for_store=self.wait))

    def targets(self, settings: RunSettings, study_options: StudyOptions | None = None) -> list[str]:
        """Names of the targets; a study's own where none were given.

        Raises:
            ConfigError: a name is unknown, or not the study's.
        """
        if study_options is None:
            return chosen_targets(self.args.targets, settings.data.table.targets)
        if "targets" not in self.given:
            return [study_options["target"]]
        targets = chosen_targets(self.args.targets, settings.data.table.targets)
        if targets != [study_options["target"]]:
            raise ConfigError(
                f"study {self.args.study_name!r} was made with target {study_options['target']!r}, now it is "
                f"{', '.join(targets)!r}: give the same again, or use another --study-name"
            )
        return targets

    @property
    def names_whole_study(self) -> bool:
        """Whether `--study-name` is a study's whole name; with several targets it is the beginning of several."""
        words = [word for name in self.args.targets for word in name.split(",") if word.strip()]
        return bool(self.args.study_name) and ("targets" not in self.given or (len(words) == 1 and words != ["all"]))


def parse_command_line(build_parser: Callable[[], ArgumentParser], argv: Sequence[str] | None) -> CommandLine:
    """Parses a command line; as argparse does, a mistake ends the process with status 2."""
    args = build_parser().parse_args(argv)
    return CommandLine(args, given_options(build_parser(), argv))


def resolve_settings(command_line: CommandLine) -> tuple[list[str], RunSettings]:
    """Targets and settings; an existing study that is named says what was not given.

    Raises:
        UserError: an option is wrong, or the store cannot be reached.
        StoreError: the store was waited for in vain.
    """
    settings = command_line.settings()
    study_options = options_of_named_study(command_line, settings)
    if study_options is not None:
        settings = command_line.settings(study_options)
    return command_line.targets(settings, study_options), settings


def options_of_named_study(command_line: CommandLine, settings: RunSettings) -> StudyOptions | None:
    """The options of the study that `--study-name` names; None if there is none yet.

    Raises:
        ConfigError: the store cannot be reached, or a place cannot be used.
        StoreError: the store was waited for in vain.
    """
    if not command_line.names_whole_study:
        return None
    from src.modeling.preflight import check_locations

    check_locations(settings)
    return find_study_options(settings.search, command_line.args.study_name)


def find_study_options(search: SearchSettings, study_name: str) -> StudyOptions | None:
    """The options of a study of this store, if it is there and has one; its timeout is what is left of it.

    Raises:
        ConfigError: the store cannot be reached.
        StoreError: the store was waited for in vain.
    """
    from src.study.studies import OptunaStudyManager
    from src.study.study_options import seconds_left, study_options_of

    if not store_exists(search):
        return None
    manager = OptunaStudyManager(search.storage_dir, search.storage_url, search.wait_for_store)
    try:
        study = manager.load_study(study_name) if study_name in manager.list_studies() else None
        study_options = None if study is None else study_options_of(study)
        if study is None or study_options is None:
            return None
        return study_options | {"timeout": seconds_left(study.user_attrs, study_options["timeout"])}
    finally:
        manager.storage.engine.dispose()


def store_exists(search: SearchSettings) -> bool:
    """Whether there may be studies: no embedded store is made before the options are known to be right.

    Raises:
        ConfigError: the store's URL is wrong.
    """
    from src.study.store_location import store_url

    url = store_url(search.storage_url, search.storage_dir, os.environ)
    return url.get_backend_name() != "sqlite" or Path(url.database or "").exists()
