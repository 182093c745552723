"""Foundation networks: equal to a direct forward pass, in their place in the image, and clear when they cannot be had."""

from __future__ import annotations

import json
import pickle
import re
import warnings
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from monai.data import MetaTensor

from monai_rwcp import DenseFeaturesd, RandomWalkDiffusiond
from monai_rwcp.features import FeatureExtractor, FoundationFeatures
from monai_rwcp.utils.packages import is_older

transformers = pytest.importorskip("transformers")

SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
STAGES = {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 24, 32]}
MEAN, STD = (0.43, 0.411, 0.296), (0.213, 0.156, 0.143)


def build(kind: str) -> torch.nn.Module:
    """A real network of the kind with few, random weights."""
    torch.manual_seed(0)
    models = {
        "dinov3_vit": lambda: transformers.DINOv3ViTModel(
            transformers.DINOv3ViTConfig(**SMALL, intermediate_size=64, num_register_tokens=4)
        ),
        "dinov3_vit_no_registers": lambda: transformers.DINOv3ViTModel(
            transformers.DINOv3ViTConfig(**SMALL, intermediate_size=64, num_register_tokens=0)
        ),
        "dinov3_convnext": lambda: transformers.DINOv3ConvNextModel(transformers.DINOv3ConvNextConfig(**STAGES)),
        "dinov2": lambda: transformers.Dinov2Model(transformers.Dinov2Config(**SMALL, patch_size=14)),
        "dinov2_with_registers": lambda: transformers.Dinov2WithRegistersModel(
            transformers.Dinov2WithRegistersConfig(**SMALL, patch_size=14, num_register_tokens=4)
        ),
        "vit": lambda: transformers.ViTModel(transformers.ViTConfig(**SMALL, intermediate_size=64)),
        "swin": lambda: transformers.SwinModel(transformers.SwinConfig(embed_dim=12, depths=[1, 1], num_heads=[2, 2])),
        "convnext": lambda: transformers.ConvNextModel(transformers.ConvNextConfig(**STAGES)),
        "resnet": lambda: transformers.ResNetModel(
            transformers.ResNetConfig(hidden_sizes=[8, 16], depths=[1, 1], embedding_size=8)
        ),
    }
    return models[kind]().eval()


STRIDE = {
    "dinov3_vit": 16,
    "dinov3_vit_no_registers": 16,
    "dinov3_convnext": 32,
    "dinov2": 14,
    "dinov2_with_registers": 14,
    "vit": 16,
    "swin": 8,
    "convnext": 32,
    "resnet": 8,
}

# The first release of transformers that knows a network; all have the others.
SINCE = {
    "dinov3_vit": "4.56",
    "dinov3_vit_no_registers": "4.56",
    "dinov3_convnext": "4.56",
    "dinov2_with_registers": "4.48",
}


class Folders(dict[str, Path]):
    """A folder of each kind of network, made when it is asked for."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root

    def __missing__(self, kind: str) -> Path:
        if is_older("transformers", SINCE.get(kind, "0")):
            pytest.skip(f"{kind} needs transformers {SINCE[kind]}, here is {transformers.__version__}")
        preprocessor = {"do_rescale": True, "rescale_factor": 1 / 255, "image_mean": MEAN, "image_std": STD}
        self[kind] = save(self.root / kind, kind, preprocessor)
        return self[kind]


def save(folder: Path, kind: str, preprocessor: dict | None = None) -> Path:
    build(kind).save_pretrained(folder)
    if preprocessor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return Folders(tmp_path_factory.mktemp("networks"))


def normalised(image: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (MEAN, STD))
    return ((image - mean) / std)[None]


def direct(folder: Path, image: torch.Tensor, **options: bool) -> object:
    """Output of the network itself for an image [3, height, width] in [0, 1]."""
    with torch.no_grad():
        return transformers.AutoModel.from_pretrained(folder).eval()(normalised(image), **options)


def cells_of(tokens: torch.Tensor, prefix: int, shape: tuple[int, int]) -> torch.Tensor:
    """Literal reading of tokens [1, T, F] as a map: one token for each cell, row by row."""
    result = torch.empty(tokens.shape[2], *shape)
    for row in range(shape[0]):
        for column in range(shape[1]):
            result[:, row, column] = tokens[0, prefix + row * shape[1] + column]
    return result


@pytest.mark.parametrize(
    ("kind", "prefix"),
    [
        ("dinov3_vit", 5),
        ("dinov3_vit_no_registers", 1),
        ("dinov3_convnext", 1),
        ("dinov2", 1),
        ("dinov2_with_registers", 5),
        ("vit", 1),
        ("swin", 0),
    ],
)
def test_final_tokens_are_those_of_a_direct_forward_pass(folders: Folders, kind: str, prefix: int) -> None:
    stride = STRIDE[kind]
    image = torch.rand(3, 2 * stride, 3 * stride)
    if kind in ("vit", "swin"):
        image = torch.rand(3, 224, 224)
    shape = (image.shape[1] // stride, image.shape[2] // stride)
    tokens = direct(folders[kind], image).last_hidden_state
    found = FoundationFeatures(folders[kind])(image)
    assert tokens.shape[1] == prefix + shape[0] * shape[1]
    assert torch.equal(found, cells_of(tokens, prefix, shape))


@pytest.mark.parametrize("kind", ["convnext", "resnet"])
def test_maps_are_those_of_a_direct_forward_pass(folders: Folders, kind: str) -> None:
    image = torch.rand(3, 64, 96)
    assert torch.equal(FoundationFeatures(folders[kind])(image), direct(folders[kind], image).last_hidden_state[0])


@pytest.mark.parametrize("kind", ["dinov3_vit", "dinov2", "dinov2_with_registers"])
def test_final_state_is_the_one_of_the_backbone_class(folders: Folders, kind: str) -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING_NAMES

    if kind not in MODEL_FOR_BACKBONE_MAPPING_NAMES:
        pytest.skip("this version of transformers has no backbone class of the network")
    stride = STRIDE[kind]
    image = torch.rand(3, 3 * stride, 4 * stride)
    model = transformers.AutoModel.from_pretrained(folders[kind])
    backbone = transformers.AutoBackbone.from_config(model.config).eval()
    backbone.load_state_dict(model.state_dict())
    with torch.no_grad():
        expected = backbone(normalised(image)).feature_maps[-1][0]
    torch.testing.assert_close(FoundationFeatures(folders[kind])(image), expected)


@pytest.mark.parametrize(("kind", "prefix"), [("dinov3_vit", 5), ("dinov2", 1)])
def test_one_layer_is_raw_and_several_are_normalised_and_concatenated(folders: Folders, kind: str, prefix: int) -> None:
    folder, image = folders[kind], torch.rand(3, 2 * STRIDE[kind], 3 * STRIDE[kind])
    result = direct(folder, image, output_hidden_states=True)
    raw = cells_of(result.hidden_states[2], prefix, (2, 3))
    final = cells_of(result.last_hidden_state, prefix, (2, 3))
    assert torch.equal(FoundationFeatures(folder, layers=2)(image), raw)
    both = FoundationFeatures(folder, layers=[2, -1])(image)
    torch.testing.assert_close(both, torch.cat([F.normalize(raw, dim=0), F.normalize(final, dim=0)]))


def test_stages_of_a_convolutional_network_meet_on_the_finest_grid(folders: Folders) -> None:
    folder, image = folders["dinov3_convnext"], torch.rand(3, 64, 96)
    states = direct(folder, image, output_hidden_states=True).hidden_states
    assert torch.equal(FoundationFeatures(folder, layers=1)(image), states[1][0])
    both = FoundationFeatures(folder, layers=[1, 3])(image)
    assert both.shape == (8 + 24, 16, 24)
    coarse = F.interpolate(F.normalize(states[3], dim=1), (16, 24), mode="bilinear", align_corners=False)
    torch.testing.assert_close(both[8:], coarse[0])


def test_unknown_layer_says_which_there_are(folders: Folders) -> None:
    with pytest.raises(ValueError, match=r"numbers from 1 to 3, the blocks of this dinov2, but got \[7\]"):
        FoundationFeatures(folders["dinov2"], layers=[1, 7])(torch.rand(1, 28, 28))


def position_network(folder: Path) -> Path:
    """A DINOv2 that leaves each patch's mean brightness as it is in every channel: attention and MLP add nothing."""
    model = transformers.Dinov2Model(
        transformers.Dinov2Config(
            hidden_size=4, num_hidden_layers=1, num_attention_heads=1, layerscale_value=0.0, patch_size=14
        )
    )
    torch.nn.init.zeros_(model.embeddings.position_embeddings)
    projection = model.embeddings.patch_embeddings.projection
    torch.nn.init.constant_(projection.weight, 1 / projection.weight[0].numel())
    torch.nn.init.zeros_(projection.bias)
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("scale", [1.0, 2.0, 1.7])
@pytest.mark.parametrize(
    ("shape", "corner", "side"),
    [
        ((140, 140), (28, 84), 28),  # whole patches
        ((131, 97), (17, 49), 21),
        ((97, 131), (70, 100), 21),
        ((105, 63), (84, 42), 21),  # half a patch more: the worst case for the rounding
        ((104, 64), (83, 43), 21),
        ((150, 31), (120, 4), 20),
        ((145, 145), (124, 124), 21),  # the last corner
    ],
)
def test_a_bright_square_is_found(
    tmp_path: Path, shape: tuple[int, int], corner: tuple[int, int], side: int, scale: float
) -> None:
    image = torch.zeros(1, *shape)
    image[0, corner[0] : corner[0] + side, corner[1] : corner[1] + side] = 1
    extractor = FoundationFeatures(position_network(tmp_path), layers=1, normalization="none", scale=scale)
    features = extractor(image)[0]
    for axis in (0, 1):
        cells = features.shape[axis]
        assert abs(cells - shape[axis] * scale / 14) <= 0.5 + 1 / 14
        weight = features.sum(dim=1 - axis)
        found = float((weight * (torch.arange(cells) + 0.5)).sum() / weight.sum())
        truth = (corner[axis] + side / 2) / shape[axis] * cells
        assert abs(found - truth) < 0.5


def test_constant_parts_stay_constant_up_to_the_edge(tmp_path: Path) -> None:
    image = torch.full((1, 50, 45), 0.75)
    image[0, :14, :14] = 0.25
    features = FoundationFeatures(position_network(tmp_path), layers=1, normalization="none")(image)
    assert features.shape == (4, 4, 3)
    torch.testing.assert_close(features[:, 2:, 2:], torch.full((4, 2, 1), 0.75))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_volume_is_its_slices(folders: Folders, axis: int) -> None:
    volume = torch.rand(1, 40, 33, 47)
    folder = folders["dinov2"]
    found = FoundationFeatures(folder, slice_axis=axis, batch_size=16)(volume)
    one = FoundationFeatures(folder)
    expected = torch.stack([one(s) for s in volume.unbind(axis + 1)], dim=axis + 1)
    assert found.shape[axis + 1] == volume.shape[axis + 1]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_percentiles_are_those_of_the_whole_volume(folders: Folders) -> None:
    volume = torch.rand(1, 28, 28, 6) * torch.linspace(10, 1000, 6)
    folder = folders["dinov2"]
    by_volume = FoundationFeatures(folder, slice_axis=2, intensity="percentiles")(volume)
    low, high = torch.quantile(volume, torch.tensor([0.005, 0.995]))
    by_hand = FoundationFeatures(folder, slice_axis=2)(((volume - low) / (high - low)).clamp(0, 1))
    torch.testing.assert_close(by_volume, by_hand, rtol=1e-4, atol=1e-4)


def test_grey_images_are_repeated_and_many_channels_are_chosen(folders: Folders) -> None:
    folder, image = folders["dinov2"], torch.rand(5, 28, 28)
    plain = FoundationFeatures(folder)
    grey = plain(image[:1])
    assert torch.equal(grey, plain(image[:1].expand(3, -1, -1)))
    assert torch.equal(FoundationFeatures(folder, channels=[0])(image), grey)
    assert torch.equal(FoundationFeatures(folder, channels=[4, 0, 2])(image), plain(image[[4, 0, 2]]))
    each = FoundationFeatures(folder, channels="each")(image)
    torch.testing.assert_close(each, torch.cat([F.normalize(plain(image[c : c + 1]), dim=0) for c in range(5)]))
    with pytest.raises(ValueError, match=r'1 or 3 channels, but got shape \(5, 28, 28\)\. Give channels=.*"each"'):
        plain(image)
    with pytest.raises(ValueError, match=r"channel numbers below 2, but got \(0, 1, 4\)"):
        FoundationFeatures(folder, channels=[0, 1, 4])(image[:2])


class TestNormalization:
    def test_the_folders_file_is_read_without_a_warning(self, folders: Folders) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            extractor = FoundationFeatures(folders["dinov2"])
            assert f"normalization=preprocessor_config.json {MEAN} {STD}" in extractor.name

    def test_without_a_file_imagenet_is_taken_with_a_warning_and_recorded(self, tmp_path: Path) -> None:
        folder, image = save(tmp_path, "dinov2"), torch.rand(1, 28, 28)
        extractor = FoundationFeatures(folder)
        with pytest.warns(
            UserWarning, match=r"no preprocessor_config.json, so ImageNet's .* \"sat493m\" for the DINOv3"
        ):
            found = extractor(image)
        assert "imagenet, for want of a preprocessor_config.json (0.485, 0.456, 0.406)" in extractor.name
        named = FoundationFeatures(folder, normalization="imagenet")
        assert torch.equal(found, named(image))
        assert "for want" not in named.name

    @pytest.mark.parametrize(
        ("content", "mean", "std"),
        [
            ({"image_mean": [0.5] * 3, "image_std": [0.2] * 3}, 0.5, 0.2),
            ({"image_mean": [0.5] * 3, "image_std": [0.2] * 3, "do_normalize": False}, 0.0, 1.0),
            # (255 x - 100) / 50 = (x - 100 / 255) / (50 / 255)
            ({"image_mean": [100] * 3, "image_std": [50] * 3, "do_rescale": False}, 100 / 255, 50 / 255),
            # (2 x - 1 - 0.5) / 0.5 = (x - 0.75) / 0.25
            (
                {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 1 / 127.5, "rescale_offset": True},
                0.75,
                0.25,
            ),
        ],
    )
    def test_every_step_of_the_file_counts(self, tmp_path: Path, content: dict, mean: float, std: float) -> None:
        folder, image = save(tmp_path, "dinov2", content), torch.rand(1, 28, 42)
        by_hand = FoundationFeatures(folder, normalization=([mean] * 3, [std] * 3))
        torch.testing.assert_close(FoundationFeatures(folder)(image), by_hand(image), rtol=1e-4, atol=1e-5)

    def test_satellite_numbers_differ(self, folders: Folders) -> None:
        image = torch.rand(1, 28, 28)
        by_file = FoundationFeatures(folders["dinov2"])(image)
        assert torch.equal(FoundationFeatures(folders["dinov2"], normalization="sat493m")(image), by_file)
        assert not torch.equal(FoundationFeatures(folders["dinov2"], normalization="lvd1689m")(image), by_file)

    @pytest.mark.parametrize("content", ["no json", "[]", '{"image_mean": [0.5]}', '{"image_mean": 1, "image_std": 1}'])
    def test_damaged_file(self, tmp_path: Path, content: str) -> None:
        folder = save(tmp_path, "dinov2")
        (folder / "preprocessor_config.json").write_text(content)
        with pytest.raises(ValueError, match=r"preprocessor_config.json' to hold image_mean and image_std"):
            FoundationFeatures(folder)(torch.rand(1, 28, 28))

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ("dinov9", r"one of \['imagenet', 'lvd1689m', 'none', 'sat493m'\].* but got 'dinov9'"),
            (([0.5], [0.0]), "positive standard deviation"),
            (([0.5, 0.5], [1.0, 1.0]), "for the 3 channels of the network"),
            (([0.5],), r"a pair \(mean, std\)"),
        ],
    )
    def test_bad_argument(self, folders: Folders, given: object, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            FoundationFeatures(folders["dinov2"], normalization=given)(torch.rand(1, 28, 28))


def test_name_tells_everything_that_changes_the_features(folders: Folders, tmp_path: Path) -> None:
    folder = folders["dinov2"]
    names = {
        FoundationFeatures(folder, **options).name  # type: ignore[arg-type]
        for options in (
            {},
            {"layers": 2},
            {"layers": [2, -1]},
            {"intensity": "percentiles"},
            {"intensity": (-160, 240)},
            {"normalization": "imagenet"},
            {"channels": [0]},
            {"channels": "each"},
            {"scale": 2},
            {"slice_axis": 0},
            {"slice_axis": 1},
            {"dtype": "bfloat16"},
        )
    }
    assert len(names) == 12
    other = transformers.Dinov2Model(transformers.Dinov2Config(**SMALL, patch_size=14))
    other.save_pretrained(tmp_path)
    assert FoundationFeatures(tmp_path, normalization=(MEAN, STD)).name not in names
    extractor = FoundationFeatures(folder, intensity=[-160, 240])
    assert isinstance(extractor, FeatureExtractor)
    assert "dinov2, sha256:" in extractor.name
    assert "intensity=-160..240" in extractor.name
    assert str(folder) not in extractor.name


def test_network_is_frozen_and_results_repeat(folders: Folders) -> None:
    extractor, image = FoundationFeatures(folders["dinov2"]), MetaTensor(torch.rand(1, 28, 28, dtype=torch.float64))
    before = image.clone()
    first = extractor(image)
    network = extractor._network()[0].module
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    assert type(first) is torch.Tensor
    assert first.dtype == torch.float32
    assert torch.equal(first, extractor(image))
    assert torch.equal(image, before)


def test_pickle_holds_the_path_and_not_the_network(folders: Folders) -> None:
    extractor, image = FoundationFeatures(folders["dinov2"], layers=[1, -1], scale=2), torch.rand(1, 28, 28)
    expected = extractor(image)
    dumped = pickle.dumps(extractor)
    assert len(dumped) < 2000
    again = pickle.loads(dumped)
    assert torch.equal(again(image), expected)
    assert again.name == extractor.name


def test_lower_precision_is_near_and_still_gives_float32(folders: Folders) -> None:
    image = torch.rand(1, 28, 28)
    exact, rough = (FoundationFeatures(folders["dinov2"], dtype=d)(image) for d in ("float32", "bfloat16"))
    assert rough.dtype == torch.float32
    assert not torch.equal(exact, rough)
    assert float((exact - rough).norm() / exact.norm()) < 0.03


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (torch.full((1, 28, 28), float("nan")), {}, r"finite image, but in shape \(1, 28, 28\)"),
        (torch.full((1, 28, 28), 0.5), {}, r"values vary, but in shape \(1, 28, 28\) all values are 0\.5"),
        (torch.rand(1, 28, 28) * 255, {}, r'in \[0, 1\], but .* Give intensity="percentiles"'),
        (torch.rand(1, 28, 28, 4), {}, r"one 2D image .* \(1, 28, 28, 4\).* give slice_axis=2"),
        (torch.rand(1, 28, 28), {"slice_axis": 0}, r"volume to go through along slice_axis=0"),
        (torch.rand(28, 28), {}, r"2 or 3 spatial axes, but got shape \(28, 28\)"),
        (torch.eye(28)[None] * 1e-3, {"intensity": "percentiles"}, None),
        (torch.zeros(1, 28, 28).index_fill(2, torch.tensor([0]), 1), {"intensity": "percentiles"}, None),
    ],
)
def test_bad_images(folders: Folders, image: torch.Tensor, options: dict, message: str | None) -> None:
    extractor = FoundationFeatures(folders["dinov2"], **options)
    if message is None:
        assert torch.isfinite(extractor(image)).all()
        return
    with pytest.raises(ValueError, match=message):
        extractor(image)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 0}, "`layers` to be -1"),
        ({"layers": -2}, "but got -2"),
        ({"layers": []}, r"but got \[\]"),
        ({"scale": 0}, "`scale`"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"dtype": "float64"}, "`dtype`"),
        ({"channels": "all"}, "`channels`"),
        ({"intensity": "ct"}, r"`intensity` to be \"none\".*HU"),
        ({"intensity": (240, -160)}, "low < high"),
        ({"slice_axis": 3}, "`slice_axis`"),
    ],
)
def test_bad_arguments(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FoundationFeatures("facebook/dinov2-small", **options)


class TestModelsThatCannotBeHad:
    def test_missing_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(FileNotFoundError, match=r"no folder '.*none'.*save_pretrained\(folder\), copy the folder"):
            FoundationFeatures(tmp_path / "none")(torch.rand(1, 28, 28))

    def test_gated(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*args: object, **options: object) -> None:
            raise OSError("You are trying to access a gated repo. Make sure to have access to it.")

        monkeypatch.setattr(transformers.AutoModel, "from_pretrained", refuse)
        with pytest.raises(
            PermissionError, match=r"'facebook/dinov3-x' is gated.* accept the licence .* `hf auth login`"
        ):
            FoundationFeatures("facebook/dinov3-x")(torch.rand(1, 28, 28))

    def test_folder_without_a_model(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match=r"folder '.*' to hold config.json and model.safetensors"):
            FoundationFeatures(tmp_path)(torch.rand(1, 28, 28))

    def test_network_that_is_younger_than_transformers(self, tmp_path: Path) -> None:
        (save(tmp_path, "dinov2") / "config.json").write_text('{"model_type": "dinov9000"}')
        with pytest.raises(
            ImportError, match=rf"^transformers {re.escape(transformers.__version__)} does not know.*dinov9000"
        ):
            FoundationFeatures(tmp_path)(torch.rand(1, 28, 28))

    def test_weights_that_are_not_all_there(self, tmp_path: Path) -> None:
        from safetensors.torch import load_file, save_file

        folder = save(tmp_path, "dinov2")
        weights = load_file(folder / "model.safetensors")
        kept = {key: value for key, value in weights.items() if ".1.norm1" not in key}
        assert len(kept) < len(weights)
        save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ValueError, match=r"to hold all weights of Dinov2Model, but .* would be random"):
            FoundationFeatures(folder, normalization="imagenet")(torch.rand(1, 28, 28))

    def test_network_of_text(self, tmp_path: Path) -> None:
        config = transformers.BertConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=1, intermediate_size=16, vocab_size=20
        )
        transformers.BertModel(config).save_pretrained(tmp_path)
        with pytest.raises(ValueError, match=r"to be a network of images, but BertModel takes 'input_ids'"):
            FoundationFeatures(tmp_path)(torch.rand(1, 28, 28))

    def test_network_without_a_dense_map(self, tmp_path: Path) -> None:
        config = transformers.YolosConfig(**SMALL, intermediate_size=64, num_detection_tokens=7)
        transformers.YolosModel(config).save_pretrained(tmp_path)
        with pytest.raises(ValueError, match="dense"):
            FoundationFeatures(tmp_path, normalization="imagenet")(torch.rand(1, 28, 28))

    def test_transformers_is_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import sys

        monkeypatch.setitem(sys.modules, "transformers", None)
        with pytest.raises(ImportError, match=r'pip install "monai-rwcp\[foundation\]"'):
            FoundationFeatures(tmp_path)(torch.rand(1, 28, 28))


def test_in_a_chain_the_intensity_step_is_recorded_and_the_grid_lies_on_the_image(folders: Folders) -> None:
    affine = torch.tensor([[0.0, -2.0, 0, 30], [1.5, 0, 0, -20], [0, 0, 1, 5], [0, 0, 0, 1]])
    image = MetaTensor(torch.rand(1, 60, 45) * 1000, affine=affine)
    item = DenseFeaturesd("image", FoundationFeatures(folders["dinov2"], intensity="percentiles"))({"image": image})
    assert "intensity=percentiles 0.5..99.5" in item["features_provenance"]["extractor"]
    features = item["features"]
    assert features.shape == (32, 4, 3)
    for corner in ((-0.5, -0.5), (1.0, 1.0)):
        inside = [
            torch.tensor([n - 0.5 if c == 1 else c for n, c in zip(grid, corner, strict=True)] + [0, 1.0]).double()
            for grid in (image.shape[1:], features.shape[1:])
        ]
        torch.testing.assert_close(image.affine @ inside[0], features.affine @ inside[1])
    walked = RandomWalkDiffusiond("pred", k=4)({**item, "pred": MetaTensor(torch.rand(2, 60, 45), affine=affine)})
    assert walked["pred"].shape == (2, 60, 45)
