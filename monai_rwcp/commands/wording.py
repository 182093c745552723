"""Messages of what lies below, in the words of the command line: options for arguments, and files for transforms."""

from __future__ import annotations

import re
from collections.abc import Mapping

import click

__all__ = ["as_command_says"]

_VALUE = r"""True|"[^"]*"|'[^']*'|\([^()]*\)|[\w.-]*\w"""
_ARGUMENT = re.compile(rf"`(\w+)(?:=({_VALUE}))?`|\b(\w+)=({_VALUE})")
# What has another name there.
_ALIASES = {"n_shown": "worst"}
# What no option can do, and what of a chain of transforms has no place in a folder of files.
_PHRASES = (
    (r"(?<=': )Key 'pred': ", ""),
    (r"(?<=': )Key 'image': ", "its image: "),
    (r"(?<=Expected )'(?:score|probabilities)'(?= in \[0, 1\])", "the map"),
    (r"(?<=Expected finite values in )'(?:score|probabilities)'", "the map"),
    (r"Write a score as a score", "Name a file of prediction sets, as predict writes them"),
    (r"the score holds nothing but 0 and 1", "the map holds nothing but 0 and 1"),
    (
        r"Its promise does not hold for this score: use the same chain, or calibrate this one",
        "The promise does not hold for it: give `score`, `extractor` and `intensity` as in calibrating, or calibrate "
        "anew",
    ),
    (r", (?:score|set) '\w+', label '\w+'(?=[:,])", ""),
    (r"put Activationsd \(softmax or sigmoid\) first", "apply softmax or sigmoid before the maps are saved"),
    (
        r"Take the score before AsDiscreted or ConformalThresholdd, or keep a copy under another key \(CopyItemsd\)",
        "Name the folder of the probability maps",
    ),
    (r"Take the score before AsDiscreted or ConformalThresholdd, or keep a copy under another key", "Name the maps"),
    (
        r", or leave them out with a mask \(`mask_key`\) that is 0 there",
        "",
    ),
    (r"use label_mode=\"regions\" with a label of zeros and ones", "use --form one-class with labels of 0 and 1"),
    (r' for label_mode="\w+"', ""),
    (r"Overlapping structures are label_mode=\"regions\"", "Overlapping structures can be calibrated in Python alone"),
    (r" \(`(?:case|unit)_key`\)", ""),
    (r"Every image needs an id of its own: give `case_key`", "Every file needs a name of its own"),
    (r", each slice and not each patient: give `case_key`", ""),
    (r"Expected tables of one kind, but `n_channels` is (.*)'\. Take", r"The number of channels is \1'. Take"),
    (r", or leave progress=False", ""),
    (r"progress=True shows a bar of tqdm", "The progress bar needs tqdm"),
    (r"give slice_axis=2 \(the third spatial axis\), 1 or 0", 'name a .json file as --extractor, with "slice_axis": 2'),
    (r"Leave slice_axis out for", 'Take "slice_axis" out of the .json file for'),
    (
        r"Give channels=\(0, \.\.\.\) to choose (.*), or channels=\"each\" to use each by itself",
        r'Name a .json file as --extractor, with "channels": [0, ...] to choose \1, or "each" to use each by itself',
    ),
    (
        r"Give normalization=\"imagenet\" if",
        r'Name a .json file as --extractor, with "normalization": "imagenet", if',
    ),
    (r"Give normalization= yourself", 'Name a .json file as --extractor, with "normalization"'),
)


def as_command_says(message: str) -> str:
    """Say a message with the options of the command that runs.

    `alpha` in quotes of code becomes ``--alpha`` where the command has such an option, ``shared_units=True`` becomes
    ``--shared-units``, and advice about transforms becomes advice about files.

    Example:
        >>> as_command_says("This looks like logits: put Activationsd (softmax or sigmoid) first.")
        'This looks like logits: apply softmax or sigmoid before the maps are saved.'
    """
    for pattern, replacement in _PHRASES:
        message = re.sub(pattern, replacement, message)
    options = _options()

    def named(found: re.Match[str]) -> str:
        name, value = (found[1], found[2]) if found[1] else (found[3], found[4])
        option = options.get(_ALIASES.get(name, name))
        if option is None:
            return found[0]
        plain = "" if value in (None, "True") else value.strip("\"'()").replace(", ", ",")
        return f"{option} {plain}".rstrip()

    return _ARGUMENT.sub(named, message)


def _options() -> Mapping[str, str]:
    """The options of the command that runs, by the names of their values."""
    context = click.get_current_context(silent=True)
    if context is None:
        return {}
    return {
        str(parameter.name): max(parameter.opts, key=len)
        for parameter in context.command.params
        if isinstance(parameter, click.Option)
    }
