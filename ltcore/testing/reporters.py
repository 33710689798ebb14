"""The check of a reporter: text, the same each time, of any comparison, whatever its names are."""

from __future__ import annotations

import contextlib
import io
import re
import unicodedata
from collections.abc import Collection

from ltcore.comparison import Comparison
from ltcore.components import Reporter
from ltcore.testing.comparisons import (
    BACKBONES,
    FORGED,
    LOSSES,
    comparison_with_gaps,
    hostile_comparison,
    plain_comparison,
)
from ltcore.testing.conformance import BrokenRuleError, Stage, run_rules
from ltcore.testing.declarations import DECLARATION, instance_of, label_of

_INJECTIONS = {
    ".html": re.compile(r"<script>"),
    ".tex": re.compile(r"\\input"),
    ".csv": re.compile(r'(^|[,;\t"])=1\+1', re.MULTILINE),
}


def check_reporter(
    component: Reporter | type[Reporter], *, skip: Collection[str] = ()
) -> tuple[str, ...]:
    """Check the rules that a report relies on in a reporter.

    Args:
        component: with the parameters to check; a class stands for its defaults.
        skip: names of rules that this reporter breaks on purpose.

    Returns:
        The names of the rules that were looked at, at least one.

    Raises:
        ConformanceError: with every rule that is broken, what was found and what is expected.
    """
    reporter = instance_of(component, Reporter)  # type: ignore[type-abstract]
    stages = (
        Stage(DECLARATION, reporter),
        Stage((declares_a_suffix,), reporter),
        Stage((renders_text,), reporter, essential=True),
        Stage(_RULES, reporter),
    )
    return run_rules(stages, label=label_of(reporter), skip=skip)


def declares_a_suffix(reporter: Reporter) -> None:
    """``suffix`` is what files of this form end in, with the dot: ``.md``."""
    suffix = getattr(reporter, "suffix", None)
    if not isinstance(suffix, str) or not re.fullmatch(r"(\.[A-Za-z0-9]+)+", suffix):
        raise BrokenRuleError(f"suffix is {suffix!r}")


def renders_text(reporter: Reporter) -> None:
    """``render(comparison)`` gives a string that is not empty."""
    text = reporter.render(plain_comparison())
    if not isinstance(text, str) or not text.strip():
        raise BrokenRuleError(f"it gave {text!r}")


def shows_every_run(reporter: Reporter) -> None:
    """Each backbone and each loss of the comparison is named."""
    text = reporter.render(plain_comparison())
    missing = [name for name in (*BACKBONES, *LOSSES) if name not in text]
    if missing:
        raise BrokenRuleError(f"there is no {', '.join(missing)}")


def renders_the_same_again(reporter: Reporter) -> None:
    """The same comparison gives the same characters: no time, no random number, no state."""
    comparison = plain_comparison()
    if reporter.render(comparison) != reporter.render(comparison):
        raise BrokenRuleError("the second text is another")


def prints_nothing(reporter: Reporter) -> None:
    """The text is returned and nothing is printed: the command prints it."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        reporter.render(plain_comparison())
    if printed.getvalue():
        raise BrokenRuleError(f"it printed {printed.getvalue()[:60]!r}")


def bears_an_empty_comparison(reporter: Reporter) -> None:
    """A comparison without runs is rendered."""
    _require_text(reporter.render(Comparison((), ())))


def bears_gaps(reporter: Reporter) -> None:
    """Views that are missing or empty, metrics that are None, unreadable files are rendered."""
    _require_text(reporter.render(comparison_with_gaps()))


def lets_no_name_inject(reporter: Reporter) -> None:
    """Names stay names: no control character, no line of their own, no HTML, LaTeX or formula."""
    text = reporter.render(hostile_comparison())
    control = {c for c in text.replace("\r\n", "\n") if unicodedata.category(c) in ("Cc", "Cf")}
    control -= {"\n", "\t"}
    if control:
        raise BrokenRuleError(f"the text holds {', '.join(sorted(map(repr, control)))}")
    if any(line.lstrip().startswith(FORGED) for line in text.splitlines()):
        raise BrokenRuleError("a line break in a name began a line")
    injection = _INJECTIONS.get(reporter.suffix)
    found = injection.search(text) if injection else None
    if found:
        raise BrokenRuleError(f"a name came through as {found[0]!r}")


_RULES = (
    shows_every_run,
    renders_the_same_again,
    prints_nothing,
    bears_an_empty_comparison,
    bears_gaps,
    lets_no_name_inject,
)


def _require_text(text: object) -> None:
    if not isinstance(text, str):
        raise BrokenRuleError(f"it gave {text!r}")
