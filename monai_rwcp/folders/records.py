"""What the files of probability maps tell of the network that made them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from monai.data import MetaTensor

from monai_rwcp.folders.forms import MapForm
from monai_rwcp.folders.match import FolderCase
from monai_rwcp.folders.nnunet_documents import nnunet_documents
from monai_rwcp.provenance.guard import NAMED
from monai_rwcp.provenance.record import WRITTEN_BY, ComparedField, ScoreRecord
from monai_rwcp.utils.files import file_hash
from monai_rwcp.utils.json_documents import digest, read_json
from monai_rwcp.utils.names import name_as_text

__all__ = ["check_network", "folder_records", "network_name", "with_program"]

_FILE = "file "
_DIGITS = 23  # "sha256:" and 16 digits, as of weights


def folder_records(cases: Sequence[FolderCase], form: MapForm, network: str | None) -> dict[Path, ScoreRecord]:
    """Record what the folders of some maps tell of the network that made them.

    Args:
        cases: the maps.
        form: of the maps.
        network: what :py:func:`network_name` gave.

    Returns:
        for each folder a record with the form, and hashes of nnU-Net's ``plans.json`` and ``dataset.json`` where it
        left them. Both are those of the training: they do not tell its folds, configurations and checkpoints apart.

    Raises:
        ValueError: when one of nnU-Net's files is damaged.
    """
    return {
        folder: ScoreRecord(network=network, maps={"form": form, **(_of_training(folder) if form == "nnunet" else {})})
        for folder in {case.map.parent for case in cases}
    }


def check_network(records: Mapping[Path, ScoreRecord], expected: ScoreRecord) -> None:
    """Refuse folders of maps of another network than the calibrated one's, as far as both tell, before any is read.

    Raises:
        ValueError: when a folder tells of another one; the message names it and the field.
    """
    for folder, record in sorted(records.items()):
        for compared in expected.compared_with(record):
            if compared.field == f"maps.{WRITTEN_BY}":
                continue  # which each file tells of itself
            if not compared.agrees and compared.field.partition(".")[0] in ("network", "maps"):
                raise ValueError(
                    f"Nothing shows that the maps in '{folder}' are of the network that was calibrated: "
                    f"{compared.in_words('the calibration')}. {_mend(compared)}"
                )


def _mend(compared: ComparedField) -> str:
    """What to do about folders of another network, by what was compared."""
    expected = str(compared.expected)
    if compared.field == "network" and compared.expected is None:
        how = "leave `network` out, as in calibrating"
    elif compared.field == "network" and expected.startswith(NAMED):
        how = f"give `network` {expected.removeprefix(NAMED)!r}, as in calibrating"
    elif compared.field == "network" and expected.startswith(_FILE):
        how = "give as `network` the checkpoint that was given in calibrating"
    elif compared.field == "network":
        how = "calibrate on such files, too: the calibration is of a chain in Python, which knew the weights"
    elif compared.field == "maps.form":
        how = f"give `form` {expected}, as in calibrating"
    else:
        how = f"put beside them the {compared.field.partition('.')[2]} that nnU-Net wrote, as in calibrating"
    return f"If they are, {how}; if not, calibrate on maps of this network."


def network_name(name_or_file: str | None) -> str | None:
    """What a person says of the network, as it is recorded.

    Args:
        name_or_file: a file, whose contents tell the network (its checkpoint), or a name; None for neither.

    Returns:
        a hash of the file, or the name.

    Raises:
        FileNotFoundError: when it is no file but called like one.
        ValueError: when it is empty.

    Example:
        >>> network_name("cardiac network of May")
        'named cardiac network of May'
    """
    if name_or_file is None:
        return None
    if Path(name_or_file).is_file():
        return _FILE + file_hash(name_or_file)[:_DIGITS]
    if re.search(r"[/\\]|\.[A-Za-z][A-Za-z0-9]*$", name_or_file):
        raise FileNotFoundError(
            f"There is no file '{name_or_file}'. Correct the path of the network's checkpoint, or give a name without "
            "slashes and endings."
        )
    return NAMED + name_as_text(name_or_file, "the network's name")


def with_program(record: ScoreRecord, read: MetaTensor) -> ScoreRecord:
    """Add to the record of a folder what the file of one map says of the program that wrote it, if anything."""
    program = read.meta.get(WRITTEN_BY)
    return replace(record, maps={**(record.maps or {}), WRITTEN_BY: program}) if program else record


def _of_training(folder: Path) -> dict[str, str]:
    # Of what they say: nnU-Net writes them anew beside every prediction.
    return {
        name: digest({name: read_json(path, f"{name} of nnU-Net", "nnU-Net writes it")})[:_DIGITS]
        for name, path in nnunet_documents(folder).items()
    }
