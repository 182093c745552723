"""Files of torch.export that would run code: each way is refused, and nothing has run; honest ones load."""

from __future__ import annotations

import io
import json
import logging
import pickle
import re
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_rwcp.features import ExportedFeatures
from monai_rwcp.utils.packages import is_older


class Encoder(torch.nn.Module):
    """Parameters, buffers, a constant, a layer without gradients, and a text argument."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4, stride=4), torch.nn.BatchNorm2d(4))
        self.shift = torch.rand(4, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            found = torch.nn.functional.gelu(self.body(image), approximate="tanh")
        low, high = found.split(2, dim=1)
        return torch.cat([low, high], dim=1) + self.shift


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "encoder.pt2"
    torch.export.save(torch.export.export(Encoder().eval(), (torch.rand(1, 3, 32, 32),)), path)
    return path


class Payload:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> Any:
        return open, (str(self.witness), "w")


def payload(witness: Path) -> bytes:
    """What torch.save would write of a tensor beside which a file is made."""
    buffer = io.BytesIO()
    torch.save((torch.rand(1), Payload(witness)), buffer)
    return buffer.getvalue()


Members = dict[str, bytes]


def rebuilt(path: Path, source: Path, change: Callable[[Members], None]) -> Path:
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def named(members: Members, ending: str) -> str:
    return next(name for name in members if name.endswith(ending))


def graph_of(members: Members) -> str:
    """The member that holds the graph, in the form of today and in the one of torch 2.3 to 2.7."""
    return next(name for name in members if name.endswith(("models/model.json", "serialized_exported_program.json")))


def in_graph(change: Callable[[dict[str, Any]], None]) -> Callable[[Members, Path], None]:
    def changed(members: Members, witness: Path) -> None:
        name = graph_of(members)
        document = json.loads(members[name])
        change(document["graph_module"])
        members[name] = json.dumps(document).replace("WITNESS", str(witness)).encode()

    return changed


def _expression(module: dict[str, Any], name: str = "image") -> None:
    values = module["graph"]["tensor_values"]
    values[name] = values.get("image")
    code = "open('WITNESS', 'w')"
    values[name] = {**values["image"], "sizes": [{"as_expr": {"expr_str": code, "hint": {"as_int": 1}}}]}


def _argument_name(module: dict[str, Any]) -> None:
    module["module_call_graph"][0]["signature"]["forward_arg_names"] = ["image=open('WITNESS', 'w')"]


def _call(target: str) -> Callable[[dict[str, Any]], None]:
    def changed(module: dict[str, Any]) -> None:
        module["graph"]["nodes"][0]["target"] = target

    return changed


def _enum(module: dict[str, Any]) -> None:
    spec = {
        "type": "builtins.dict",
        "context": '[{"__enum__": true, "fqn": "this:c", "name": "d"}]',
        "children_spec": [],
    }
    module["module_call_graph"][0]["signature"]["out_spec"] = json.dumps([1, spec])


def _default_dict(module: dict[str, Any]) -> None:
    context = {"default_factory_module": "antigravity", "default_factory_name": "webbrowser", "dict_context": []}
    spec = {"type": "collections.defaultdict", "context": json.dumps(context), "children_spec": []}
    module["module_call_graph"][0]["signature"]["in_spec"] = json.dumps([1, spec])


def _sample_inputs(members: Members, witness: Path) -> None:
    members[named(members, "sample_inputs/model.pt")] = payload(witness)


def _pickled(folder: str) -> Callable[[Members, Path], None]:
    def changed(members: Members, witness: Path) -> None:
        config = named(members, f"model_{folder}_config.json")
        document = json.loads(members[config])
        entry = next(iter(document["config"].values()))
        entry["use_pickle"] = True
        members[config] = json.dumps(document).encode()
        members[config.rsplit("/", 1)[0] + "/" + entry["path_name"]] = payload(witness)

    return changed


def _legacy(folder: str) -> Callable[[Members, Path], None]:
    def changed(members: Members, witness: Path) -> None:
        root = named(members, "archive_format").split("/")[0]
        members[f"{root}/data/{folder}/model.pt"] = payload(witness)

    return changed


def _object(kind: str) -> Callable[[Members, Path], None]:
    def changed(members: Members, witness: Path) -> None:
        config = named(members, "model_constants_config.json")
        document = json.loads(members[config])
        next(iter(document["config"].values())).update(path_name=f"{kind}_0", use_pickle=True)
        members[config] = json.dumps(document).encode()
        members[config.rsplit("/", 1)[0] + f"/{kind}_0"] = pickle.dumps(Payload(witness))

    return changed


def _library(members: Members, witness: Path) -> None:
    members[named(members, "archive_format").split("/")[0] + "/data/aotinductor/model/model.so"] = b"\x7fELF"


def _file_operator(operator: str, **more: Any) -> Callable[[dict[str, Any]], None]:
    """Call an operator that writes a file of any name."""

    def changed(module: dict[str, Any]) -> None:
        graph = module["graph"]
        node = json.loads(json.dumps(graph["nodes"][0]))
        made = {"filename": {"as_string": "WITNESS"}, **more}
        # As the others of this torch: later ones also say of which kind an input is.
        like = {**node["inputs"][0]}
        node["inputs"] = [{**like, "name": name, "arg": value} for name, value in made.items()]
        graph["tensor_values"]["crafted"] = graph["tensor_values"][node["outputs"][0]["as_tensor"]["name"]]
        node |= {"target": f"torch.ops.aten.{operator}.default", "outputs": [{"as_tensor": {"name": "crafted"}}]}
        graph["nodes"].insert(0, node)

    return changed


def _program_in_a_folder(members: Members, witness: Path) -> None:
    """A second program called sub/model: its weights' table lies in a folder of its own."""
    root = named(members, "archive_format").split("/")[0]
    for kind in ("weights", "constants"):
        table = members[f"{root}/data/{kind}/model_{kind}_config.json"]
        members[f"{root}/data/{kind}/sub/model_{kind}_config.json"] = table
    weights = json.loads(members[f"{root}/data/weights/model_weights_config.json"])
    next(iter(weights["config"].values())).update(path_name="crafted", use_pickle=True)
    members[f"{root}/data/weights/sub/model_weights_config.json"] = json.dumps(weights).encode()
    members[f"{root}/data/weights/crafted"] = payload(witness)
    members[f"{root}/models/sub/model.json"] = members[f"{root}/models/model.json"]
    members[f"{root}/data/sample_inputs/sub/model.pt"] = b""


def _second_models_file(members: Members, witness: Path) -> None:
    name = named(members, "models/model.json")
    document = json.loads(members[name])
    _expression(document["graph_module"])
    text = json.dumps(document).replace("WITNESS", str(witness))
    members[name.replace("model.json", "other.json")] = text.encode()
    members[named(members, "sample_inputs/model.pt").replace("model.pt", "other.pt")] = b""


def _old(member: str) -> Callable[[Members, Path], None]:
    def changed(members: Members, witness: Path) -> None:
        assert member in members
        members[member] = payload(witness)

    return changed


def _tar(members: Members, witness: Path) -> None:
    """A file of the first releases of torch, which some later ones extract whatever they are told to load."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("storages", "tensors", "pickle"):
            archive.addfile(tarfile.TarInfo(name))
    members[next(name for name in members if re.search(r"example_inputs\.pt|sample_inputs/model\.pt", name))] = (
        buffer.getvalue()
    )


Ways = dict[str, tuple[Callable[[Members, Path], None], str]]
OF_EVERY_FORM: Ways = {
    "size": (in_graph(_expression), r"\.json', holds the expression \"open\("),
    "size of a value called metadata": (
        in_graph(lambda m: _expression(m, "metadata")),
        r"holds the expression \"open\(",
    ),
    "size of a value called as_string": (
        in_graph(lambda m: _expression(m, "as_string")),
        r"holds the expression \"open\(",
    ),
    "name of an argument": (in_graph(_argument_name), r"holds the text \"image=open\("),
    "call": (in_graph(_call("torch.os.system")), "holds a call of 'torch.os.system'"),
    "loader of libraries": (in_graph(_call("torch.ops.load_library.__self__.load_library")), "holds a call of"),
    "call beside a known one": (
        in_graph(_call("torch._higher_order_ops.wrap.inspect.os.system")),
        "holds a call of 'torch._higher_order_ops.wrap.inspect",
    ),
    "call of what was found": (in_graph(_call("_operator.methodcaller")), "holds a call of '_operator.methodcaller'"),
    "import by an enumeration": (in_graph(_enum), r"unusual classes \(out_spec\)"),
    "import by a dictionary": (in_graph(_default_dict), r"unusual classes \(in_spec\)"),
    "file made by the graph": (
        in_graph(_file_operator("from_file", shared={"as_bool": True}, size={"as_int": 9})),
        r"holds a call of 'torch\.ops\.aten\.from_file\.default'",
    ),
    "file saved by the graph": (in_graph(_file_operator("save")), r"holds a call of 'torch\.ops\.aten\.save\.default'"),
    "tar": (_tar, r"_inputs(/model)?\.pt' holds more than tensors"),
}
OF_TODAY: Ways = {
    "sample inputs": (
        _sample_inputs,
        r"pickled member '\w+/data/sample_inputs/model\.pt' holds more than tensors: it calls _?io\.open\.",
    ),
    "pickled weight": (_pickled("weights"), r"pickled member '\w+/data/weights/weight_\d' holds more"),
    "pickled constant": (_pickled("constants"), r"pickled member '\w+/data/constants/tensor_\d' holds more"),
    "weights as torch 2.8 wrote them": (_legacy("weights"), r"data/weights/model\.pt' holds more"),
    "constants as torch 2.8 wrote them": (_legacy("constants"), r"data/constants/model\.pt' holds more"),
    "object": (_object("custom_obj"), r"'\w+/data/constants/custom_obj_0' is an object"),
    "opaque object": (_object("opaque_obj"), r"'\w+/data/constants/opaque_obj_0' is an object"),
    "library": (_library, r"aotinductor/model/model\.so' belongs to a compiled library"),
    "second program": (_second_models_file, r"its member '\w+/models/other\.json' is none that torch\.export\.save"),
    "program in a folder": (
        _program_in_a_folder,
        r"/sub/model(_weights_config)?\.\w+' is none that torch\.export\.save",
    ),
}
OF_OLD: Ways = {
    "sample inputs": (
        _old("serialized_example_inputs.pt"),
        r"pickled member 'serialized_example_inputs\.pt' holds more than tensors: it calls _?io\.open\.",
    ),
    "pickled weight": (_old("serialized_state_dict.pt"), r"'serialized_state_dict\.pt' holds more"),
    "pickled constant": (_old("serialized_constants.pt"), r"'serialized_constants\.pt' holds more"),
}
# Torch 2.8 wrote something in between.
WAYS = OF_EVERY_FORM | (OF_OLD if is_older("torch", "2.9") else OF_TODAY)


@pytest.mark.parametrize("way", WAYS)
def test_what_could_run_code_is_refused_before_it_runs(
    way: str, honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, message = WAYS[way]
    witness = tmp_path / "witness"
    path = rebuilt(tmp_path / "crafted.pt2", honest, lambda members: change(members, witness))
    extractor = ExportedFeatures(path)
    monkeypatch.setattr(tarfile, "open", lambda *args, **options: pytest.fail("an archive of files was opened"))
    with pytest.raises(ValueError, match=message) as caught:
        extractor(torch.rand(1, 32, 32))
    assert "crafted.pt2' could run code of whoever made it: " in str(caught.value)
    assert str(caught.value).endswith("say so: `trust=True`.")
    assert not witness.exists()


# Torch 2.4 drops the call that makes a file, because nothing uses what it gives.
RUN = {"sample inputs", "pickled weight", "size"}
RUN |= set() if is_older("torch", "2.9") else {"opaque object", "program in a folder", "file made by the graph"}


@pytest.mark.parametrize("way", sorted(RUN))
def test_the_payloads_do_run_where_the_file_is_trusted(way: str, honest: Path, tmp_path: Path) -> None:
    """Otherwise the test above would prove nothing."""
    witness = tmp_path / "witness"
    path = rebuilt(tmp_path / "crafted.pt2", honest, lambda members: WAYS[way][0](members, witness))
    with suppress(ValueError, AttributeError, TypeError, AssertionError):
        ExportedFeatures(path, trust=True)(torch.rand(1, 32, 32))
    assert witness.exists()


def test_no_operator_that_names_a_file_is_called_without_trust() -> None:
    """Every release of torch may bring another one."""
    rooms = ("aten", "prims", "quantized_decomposed", "torchvision")
    schemas = [s for s in torch._C._jit_get_all_schemas() if s.name.partition("::")[0] in rooms]
    named = {
        s.name for s in schemas for a in s.arguments if re.search("file|path|url", a.name) and "str" in str(a.type)
    }
    assert named == {"aten::from_file", "aten::save"}


@pytest.mark.parametrize("sides", [{0: torch.export.Dim("batch")}, {2: torch.export.Dim("height", min=16, max=512)}])
@pytest.mark.parametrize("trust", [False, True])
def test_a_program_of_several_shapes_is_refused_as_such(sides: dict[int, Any], trust: bool, tmp_path: Path) -> None:
    path = tmp_path / "dynamic.pt2"
    images = (torch.rand(2, 3, 32, 32),)
    network = torch.nn.Conv2d(3, 4, 3, padding=1)
    torch.export.save(torch.export.export(network, images, dynamic_shapes=(sides,)), path)
    with pytest.raises(ValueError, match="program of one input of fixed shape") as caught:
        ExportedFeatures(path, trust=trust)(torch.rand(1, 32, 32))
    assert "trust" not in str(caught.value)


def old_format(path: Path, honest: Path, inputs: bytes) -> Path:
    """As torch 2.3 to 2.7 wrote it."""
    with zipfile.ZipFile(honest) as archive:
        graph = archive.read(graph_of(dict.fromkeys(archive.namelist(), b"")))
    program = torch.export.load(honest)
    state, constants = io.BytesIO(), io.BytesIO()
    torch.save(program.state_dict, state)
    torch.save(program.constants, constants)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("version", "{major}.{minor}".format(**json.loads(graph)["schema_version"]))
        archive.writestr("serialized_exported_program.json", graph)
        archive.writestr("serialized_state_dict.pt", state.getvalue())
        archive.writestr("serialized_constants.pt", constants.getvalue())
        archive.writestr("serialized_example_inputs.pt", inputs)
    return path


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_format_of_earlier_releases(honest: Path, tmp_path: Path) -> None:
    image, witness = torch.rand(1, 32, 32), tmp_path / "witness"
    inputs = io.BytesIO()
    torch.save(((torch.rand(1, 3, 32, 32),), {}), inputs)
    good = old_format(tmp_path / "good.pt2", honest, inputs.getvalue())
    assert torch.equal(ExportedFeatures(good)(image), ExportedFeatures(honest)(image))
    bad = old_format(tmp_path / "bad.pt2", honest, payload(witness))
    with pytest.raises(ValueError, match=r"'serialized_example_inputs\.pt' holds more than tensors"):
        ExportedFeatures(bad)(image)
    assert not witness.exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(honest: Path, tmp_path: Path) -> None:
    path = tmp_path / "twice.pt2"
    with zipfile.ZipFile(honest) as source, zipfile.ZipFile(path, "w") as copy:
        for name in source.namelist():
            copy.writestr(name, source.read(name))
        copy.writestr(next(name for name in source.namelist() if name.endswith(".json")), b"")
    with pytest.raises(ValueError, match="damaged or was not written .* two members of one name"):
        ExportedFeatures(path)(torch.rand(1, 32, 32))


def test_what_is_no_program_is_not_said_to_run_code(tmp_path: Path) -> None:
    torch.save({"weight": torch.rand(1)}, tmp_path / "weights.pt2")
    with pytest.raises(
        ValueError,
        match=r"weights\.pt2' is damaged or was not written by torch\.export\.save.*no program.*Export it once more, with torch \d",
    ):
        ExportedFeatures(tmp_path / "weights.pt2")(torch.rand(1, 32, 32))


def test_an_honest_program_gives_the_same_with_trust_and_without(honest: Path) -> None:
    image = torch.rand(1, 32, 24)
    plain, trusted = ExportedFeatures(honest), ExportedFeatures(honest, trust=True)
    assert torch.equal(plain(image), trusted(image))
    assert plain.name == trusted.name


def test_a_file_of_torch_save_is_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not also the traceback that torch logs, nor a hint to look at it."""
    torch.save({"weight": torch.ones(2)}, tmp_path / "weights.pt2")
    with pytest.raises(ValueError, match=r"weights\.pt2' is damaged or was not written by torch.export.save") as told:
        ExportedFeatures(tmp_path / "weights.pt2")(torch.rand(1, 32, 32))
    assert "\n" not in str(told.value)
    assert "warnings above" not in str(told.value)
    assert not caplog.records
    assert not logging.getLogger("torch.export").disabled
