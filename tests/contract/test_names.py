"""No name of ours collides with one of MONAI's, and bundles find ours."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest
import torch
from monai.bundle import ConfigParser
from monai.bundle.config_item import ComponentLocator

import monai_rwcp


def own_names() -> set[str]:
    names = set()
    for module in pkgutil.walk_packages(monai_rwcp.__path__, "monai_rwcp."):
        if module.name.endswith("__main__"):
            continue
        loaded = importlib.import_module(module.name)
        for name, value in inspect.getmembers(loaded, lambda v: inspect.isclass(v) or inspect.isfunction(v)):
            if (value.__module__ or "").startswith("monai_rwcp"):
                names |= {name, value.__name__}
    return names


def test_no_name_is_taken() -> None:
    own = own_names()
    assert "RandomWalkDiffusiond" in own
    table = ComponentLocator().get_component_module_name("") or []
    assert not table
    locator = ComponentLocator()
    locator.get_component_module_name("Compose")
    taken = {
        name
        for name, modules in (locator._components_table or {}).items()
        if any(module == "monai" or module.startswith("monai.") for module in modules)
    }
    assert "Compose" in taken
    assert not own & taken


@pytest.mark.parametrize("target", ["monai_rwcp.RandomWalkDiffusiond", "RandomWalkDiffusiond"])
def test_bundles_find_the_transform(target: str) -> None:
    parser = ConfigParser({"imports": ["$import monai_rwcp"], "walk": {"_target_": target, "keys": "pred", "k": 3}})
    parser.parse()
    walk = parser.get_parsed_content("walk")
    assert isinstance(walk, monai_rwcp.RandomWalkDiffusiond)
    item = walk({"pred": torch.rand(2, 8, 8), "features": torch.rand(3, 4, 4)})
    assert item["pred"].shape == (2, 8, 8)
