"""The parsed command line: option values, which options the user gave, and defaults taken from an existing study.

A study stores the options that created it (`study_options`). A command that resumes it by name uses the stored options;
an option given on the command line takes precedence. Options that would make scores incomparable are refused when the
study is opened.
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
        given: names of the options that the user gave.
        wait: seconds to wait for a store that is not available yet.
    """

    args: Namespace
    given: frozenset[str]
    wait: float = 0.0

    def settings(self, study_options: StudyOptions | None = None, study_name: str | None = None) -> RunSettings:
        """The settings; options that the user did not give are taken from the study.

        Raises:
            ConfigError: a value is out of range, or the study does not store the location of its table.
        """
        if study_options is None:
            settings = run_settings(self.args)
            return replace(settings, search=replace(settings.search, wait_for_store=self.wait))
        from src.study.study_options import table_from_json, with_study_options

        settings = run_settings(
            with_study_options(self.args, self.given, study_options, study_name or self.args.study_name)
        )
        stored = table_from_json(study_options["table"])
        table = settings.data.table if "config" in self.given else stored
        features = self.args.features if "features" in self.given else table.features or stored.features
        settings = replace(settings, data=replace(settings.data, table=replace(table, features=features)))
        keep = "n_trials" not in self.given
        return replace(settings, search=replace(settings.search, keep_total=keep, wait_for_store=self.wait))

    def targets(self, settings: RunSettings, study_options: StudyOptions | None = None) -> list[str]:
        """Names of the targets; the study's target if the user gave none.

        Raises:
            ConfigError: a name is unknown, or differs from the study's target.
        """
        if study_options is None:
            return chosen_targets(self.args.targets, settings.data.table.targets)
        if "targets" not in self.given:
            return [study_options["target"]]
        targets = chosen_targets(self.args.targets, settings.data.table.targets)
        if targets != [study_options["target"]]:
            raise ConfigError(
                f"study {self.args.study_name!r} was created with target {study_options['target']!r}, but --targets is "
                f"{', '.join(targets)!r}: give the same target, or use another --study-name"
            )
        return targets

    @property
    def names_whole_study(self) -> bool:
        """Whether `--study-name` is a complete study name; with several targets it is a prefix."""
        names = [name for value in self.args.targets for name in value.split(",") if name.strip()]
        return bool(self.args.study_name) and ("targets" not in self.given or (len(names) == 1 and names != ["all"]))


def parse_command_line(build_parser: Callable[[], ArgumentParser], argv: Sequence[str] | None) -> CommandLine:
    """Parses a command line; like argparse, it exits with status 2 on an invalid option."""
    args = build_parser().parse_args(argv)
    return CommandLine(args, given_options(build_parser(), argv))


def resolve_settings(command_line: CommandLine) -> tuple[list[str], RunSettings]:
    """Targets and settings; options that the user did not give are taken from the study named by `--study-name`.

    Raises:
        UserError: an option is wrong, or the store cannot be reached.
        StoreError: timed out waiting for the store.
    """
    settings = command_line.settings()
    study_options = options_of_named_study(command_line, settings)
    if study_options is not None:
        settings = command_line.settings(study_options)
    return command_line.targets(settings, study_options), settings


def options_of_named_study(command_line: CommandLine, settings: RunSettings) -> StudyOptions | None:
    """The stored options of the study that `--study-name` names; None if it does not exist yet.

    Raises:
        ConfigError: the store cannot be reached, or a location cannot be used.
        StoreError: timed out waiting for the store.
    """
    if not command_line.names_whole_study:
        return None
    from src.modeling.preflight import check_locations

    check_locations(settings)
    return find_study_options(settings.search, command_line.args.study_name)


def find_study_options(search: SearchSettings, study_name: str) -> StudyOptions | None:
    """The stored options of a study, None if it does not exist or has none; `timeout` is the remaining time.

    Raises:
        ConfigError: the store cannot be reached.
        StoreError: timed out waiting for the store.
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
    """Whether the store may hold studies; an embedded store is not created before the options are validated.

    Raises:
        ConfigError: the store's URL is wrong.
    """
    from src.study.store_location import store_url

    url = store_url(search.storage_url, search.storage_dir, os.environ)
    return url.get_backend_name() != "sqlite" or Path(url.database or "").exists()
