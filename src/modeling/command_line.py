"""The parsed command line: option values, which options the user gave, and defaults taken from an existing study.

A study stores the settings that created it (`study_settings`). A command that resumes it by name uses the stored
settings; an option given on the command line takes precedence. Options that would make scores incomparable are refused
when the study is opened.
"""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from src.cli import chosen_targets, given_options, run_settings
from src.config import RunSettings, SearchSettings
from src.errors import ConfigError
from src.modeling.total_time import process_start

if TYPE_CHECKING:
    from src.study.study_settings import StudySettings


@dataclass(frozen=True)
class CommandLine:
    """A parsed command line.

    Attributes:
        args: every option with its value or default.
        given: names of the options that the user gave.
        wait: seconds to wait for a store that is not available yet.
        started: when the command started, by `time.monotonic`.
    """

    args: Namespace
    given: frozenset[str]
    wait: float = 0.0
    started: float = field(default_factory=monotonic)

    def settings(self, stored: "StudySettings | None" = None, study_name: str | None = None) -> RunSettings:
        """The settings; options that the user did not give are taken from the study.

        Raises:
            ConfigError: a value is out of range, or the study does not store the location of its table.
        """
        settings = run_settings(self.args)
        keep_total = False
        if stored is not None:
            from src.data.sources.dispatch import describe_source
            from src.study.study_settings import resumed

            passed_from_python = stored.data.source is None and stored.described_source != describe_source(None, None)
            if passed_from_python and "data" not in self.given:
                raise ConfigError(
                    f"study {study_name or self.args.study_name!r} does not record where its table is "
                    f"({stored.described_source}), because it was passed from Python: give --data"
                )
            asked_for, model = settings.data.table.features, settings.model
            settings, keep_total = resumed(stored, settings, self.given), "n_trials" not in self.given
            # `--features` alone must not be lost, nor that of the study when a `--config` does not name any.
            table = replace(settings.data.table, features=asked_for or stored.data.table.features)
            settings = replace(settings, data=replace(settings.data, table=table))
            # Of a `--config` too: another value than the study's is refused when the study is opened.
            asked = {name: value for name in ("constraint", "monotone") if (value := getattr(model, name))}
            settings = replace(settings, model=replace(settings.model, **asked))
        return replace(settings, search=replace(settings.search, keep_total=keep_total, wait_for_store=self.wait))

    def targets(self, settings: RunSettings, stored: "StudySettings | None" = None) -> list[str]:
        """Names of the targets; the study's target if the user gave none.

        Raises:
            ConfigError: a name is unknown, or differs from the study's target.
        """
        if stored is not None and "targets" not in self.given:
            return [stored.target]
        targets = chosen_targets(self.args.targets, settings.data.table.targets)
        if stored is not None and targets != [stored.target]:
            raise ConfigError(
                f"study {self.args.study_name!r} was created with target {stored.target!r}, but --targets is "
                f"{', '.join(targets)!r}: give the same target, or use another --study-name"
            )
        return targets

    @property
    def names_whole_study(self) -> bool:
        """Whether `--study-name` is a complete study name; with several targets it is a prefix."""
        names = [name for value in self.args.targets for name in value.split(",") if name.strip()]
        return bool(self.args.study_name) and ("targets" not in self.given or (len(names) == 1 and names != ["all"]))


def parse_command_line(build_parser: Callable[[], ArgumentParser], argv: Sequence[str] | None) -> CommandLine:
    """Parses a command line; like argparse, it exits with status 2 on an invalid option.

    A command starts with its process, unless Python code calls it with `argv`: then it starts now.
    """
    started = process_start() if argv is None else monotonic()
    args = build_parser().parse_args(argv)
    return CommandLine(args, given_options(build_parser(), argv), started=started)


def resolve_settings(command_line: CommandLine) -> tuple[list[str], RunSettings]:
    """Targets and settings; options that the user did not give are taken from the study named by `--study-name`.

    Raises:
        UserError: an option is wrong, or the store cannot be reached.
        StoreError: timed out waiting for the store.
    """
    settings = command_line.settings()
    stored = settings_of_named_study(command_line, settings)
    if stored is not None:
        settings = command_line.settings(stored)
    return command_line.targets(settings, stored), settings


def settings_of_named_study(command_line: CommandLine, settings: RunSettings) -> "StudySettings | None":
    """The stored settings of the study that `--study-name` names; None if it does not exist yet.

    Raises:
        ConfigError: the store cannot be reached, or a location cannot be used.
        StoreError: timed out waiting for the store.
    """
    if not command_line.names_whole_study:
        return None
    from src.modeling.preflight import check_locations

    check_locations(settings)
    return find_study_settings(settings.search, command_line.args.study_name)


def find_study_settings(search: SearchSettings, study_name: str) -> "StudySettings | None":
    """The stored settings of a study, None if it does not exist or has none; `timeout` is the remaining time.

    Raises:
        ConfigError: the store cannot be reached.
        StoreError: timed out waiting for the store.
    """
    from src.study.studies import OptunaStudyManager
    from src.study.study_settings import seconds_left, study_settings_of

    if not store_exists(search):
        return None
    manager = OptunaStudyManager(search.storage_dir, search.storage_url, search.wait_for_store)
    try:
        attributes = manager.load_study(study_name).user_attrs if study_name in manager.list_studies() else {}
    finally:
        manager.storage.engine.dispose()
    stored = study_settings_of(attributes)
    if stored is None:
        return None
    return replace(stored, search=replace(stored.search, timeout=seconds_left(attributes, stored.search.timeout)))


def store_exists(search: SearchSettings) -> bool:
    """Whether the store may hold studies; an embedded store is not created before the options are validated.

    Raises:
        ConfigError: the store's URL is wrong.
    """
    from src.study.store_location import store_url

    url = store_url(search.storage_url, search.storage_dir, os.environ)
    return url.get_backend_name() != "sqlite" or Path(url.database or "").exists()
