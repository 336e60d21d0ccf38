"""Generates the parts of other files that derive from the table of options in `src/options.py`, or checks them.

    python .ci/options.py write   rewrite the generated parts of MLproject, the Makefile and the manifests
    python .ci/options.py check   exit status 1 and one line per file that differs

A generated part is between the comments `# begin options: NAME, …` and `# end options`. The rest of a file is written
by hand.
"""

import argparse
import json
import logging
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from k8s.containers import ALL_SETTINGS, DEFAULTS, RUN, Setting
from src.option_lookup import arguments, options_of
from src.options import COMMANDS

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[1]
BEGIN = re.compile(r"^( *)# begin options: ([\w -]+),")
END = re.compile(r"^ *# end options$")
REMEDY = "run `make options`"
ALIASES = {"tune": "main"}
"""Second names of entry points."""


class OptionsError(Exception):
    """A file lacks a comment around a generated part; the message is one line."""


def derived() -> dict[str, dict[str, list[str]]]:
    """The lines of each generated part, by path of the file and name of the part."""
    entries = [line for name, command in COMMANDS.items() if command.entry_point for line in entry_point(name)]
    files = {"MLproject": {"entry points": entries}, "Makefile": {"lists": make_lists()}}
    for settings in ALL_SETTINGS:
        files[settings.file] = {"settings": [setting_line(each) for each in settings.items]}
        for each in settings.containers:
            files.setdefault(each.file, {})[each.name] = [f"- {word}" for word in each.words]
    return files


def entry_point(name: str) -> list[str]:
    """An entry point of MLproject, with a parameter for each option whose value is not fixed."""
    options = [option for option in options_of(name) if option.name not in COMMANDS[name].fixed]
    module, *words = arguments(name, {option.name: f"{{{option.parameter}}}" for option in options})
    alias = ALIASES.get(name)
    return [
        f"{name}:" if alias is None else f"{name}: &{name}",
        "  parameters:",
        *(f"    {option.parameter}: {{type: string, default: {quoted(option.default_text)}}}" for option in options),
        "  command: >-",
        f"    python -m {module}",
        *(f"    {word}" for word in words),
        *([] if alias is None else [f"{alias}: *{name}"]),
    ]


def make_lists() -> list[str]:
    """The Makefile's lists of options: of `make tune`, of `make report`, and additional ones of a run's pods."""
    tune, report = ([option.variable for option in options_of(name)] for name in ("tune", "report"))
    lists = {
        "OPTIONS": tune,
        "REPORT_OPTIONS": [name for name in report if name in tune],
        "RUN_OPTIONS": [each.key for each in RUN.items if each.key in DEFAULTS],
    }
    return [line for name, words in lists.items() for line in wrapped(f"{name} := {' '.join(words)}")]


def wrapped(line: str) -> list[str]:
    """A line of the Makefile, wrapped if it is long."""
    *first, last = textwrap.wrap(line, 110, break_on_hyphens=False, break_long_words=False)
    return [f"{each} \\" if i == 0 else f"\t{each} \\" for i, each in enumerate(first)] + [
        f"\t{last}" if first else last
    ]


def setting_line(setting: Setting) -> str:
    """A line of a ConfigMap's data."""
    return f"{setting.key}: {quoted(setting.value)} # {setting.comment}"


def quoted(text: str) -> str:
    """A text quoted for YAML."""
    return json.dumps(text, ensure_ascii=False)


def with_parts(name: str, text: str, parts: Mapping[str, Sequence[str]]) -> str:
    """A file's text with its generated parts replaced.

    Raises:
        OptionsError: the comments in the file do not match `parts`.
    """
    lines: list[str] = []
    missing, inside = list(parts), False
    for line in text.splitlines():
        begin = BEGIN.match(line)
        if inside and END.match(line):
            inside = False
        if not inside:
            lines.append(line)
        if begin is not None:
            indent, part = begin.groups()
            if inside or part not in missing:
                raise OptionsError(f"{name}: '# begin options: {part}, …' is unexpected: remove it")
            missing.remove(part)
            lines += [indent + each if each.strip() else each for each in parts[part]]
            inside = True
    if missing or inside:
        lacking = f"# begin options: {missing[0]}, …" if missing else "# end options"
        raise OptionsError(f"{name} lacks the line {lacking!r}: put it back")
    return "\n".join(lines) + "\n"


def changes(root: Path) -> Iterator[tuple[Path, str]]:
    """Each file that differs from the table, with its correct text.

    Raises:
        OptionsError: a file, or a comment in it, is missing.
    """
    for name, parts in derived().items():
        path = root / name
        if not path.is_file():
            raise OptionsError(f"{name} is missing: restore it")
        text = path.read_text(encoding="utf-8")
        wanted = with_parts(name, text, parts)
        if wanted != text:
            yield path, wanted


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns 0 if the files agree with the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("command", choices=["write", "check"])
    parser.add_argument("--root", type=Path, default=ROOT, help="the project's folder")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="options: %(message)s")
    try:
        found = list(changes(args.root))
    except OptionsError as error:
        log.error("%s", error)
        return 1
    for path, text in found:
        name = path.relative_to(args.root)
        if args.command == "write":
            path.write_text(text, encoding="utf-8")
            log.info("wrote %s", name)
        else:
            log.error("%s differs from src/options.py: %s", name, REMEDY)
    return 1 if found and args.command == "check" else 0


if __name__ == "__main__":
    sys.exit(main())
