"""Rows of the study, made by hand."""

from __future__ import annotations


def row(method: str, split: int, class_name: str, **more: object) -> dict[str, str]:
    return {
        key: str(value) for key, value in {"method": method, "split": split, "class_name": class_name, **more}.items()
    }
