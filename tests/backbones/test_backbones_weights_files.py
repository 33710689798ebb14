"""Weights in files: what is loaded, what is passed over, what is refused, and that no code runs."""

import pickle

import pytest
import torch
from safetensors.torch import save_file

import ltcore
from ltcore_backbones import MobileNetV2, ResNet32, Timm, ViTB16
from ltcore_backbones.weights_files import is_file, read_weights


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(5)
    return ResNet32().build(10, "linear").state_dict()


@pytest.fixture
def written(tmp_path, state):
    """Write a state dict like the model's, with changes; None leaves a tensor out."""

    def write(suffix=".safetensors", **changes):
        changed = {**state, **{name.replace("__", "."): t for name, t in changes.items()}}
        changed = {name: tensor for name, tensor in changed.items() if tensor is not None}
        path = tmp_path / f"weights{suffix}"
        if suffix == ".safetensors":
            save_file(changed, path)
        else:
            torch.save(changed, path)
        return str(path)

    return write


def built(weights, classes=10, head="linear"):
    torch.manual_seed(6)
    return ResNet32(weights=weights).build(classes, head).state_dict()


def refusal(weights, error=ltcore.SpecError):
    with pytest.raises(error) as caught:
        built(weights)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_everything_but_the_last_layer_is_loaded(written, state, suffix):
    loaded = built(written(suffix))
    others = [name for name in state if not name.startswith("linear.")]
    assert all(torch.equal(loaded[name], state[name]) for name in others)


def test_last_layer_is_new_even_where_the_file_s_would_fit(written, state):
    assert not torch.equal(built(written())["linear.weight"], state["linear.weight"])


@pytest.mark.parametrize(
    "changes",
    [
        {"linear__weight": None, "linear__bias": None},
        {"linear__weight": torch.zeros(1000, 64), "linear__bias": torch.zeros(1000)},
        {"linear__extra": torch.zeros(1)},
    ],
    ids=["missing", "of other classes", "superfluous"],
)
def test_last_layer_of_the_file_is_passed_over(written, state, changes):
    assert torch.equal(built(written(**changes))["conv1.weight"], state["conv1.weight"])


def test_weights_of_a_linear_model_fit_a_cosine_one(written, state):
    loaded = built(written(), classes=3, head="cosine")
    assert torch.equal(loaded["bn1.running_mean"], state["bn1.running_mean"])


def test_weights_of_a_model_with_frozen_stages_fit(tmp_path):
    frozen = ResNet32(freeze=2).build(10, "linear").state_dict()
    save_file(frozen, tmp_path / "frozen.safetensors")
    loaded = built(str(tmp_path / "frozen.safetensors"))
    assert torch.equal(loaded["conv1.weight"], frozen["conv1.weight"])


def test_frozen_stages_take_the_file_s_weights(written, state):
    model = ResNet32(weights=written(), freeze="backbone").build(10, "linear")
    assert torch.equal(model.layer3[4].conv2.weight, state["layer3.4.conv2.weight"])


def test_old_files_without_batch_counts_fit(written, state):
    counts = {name.replace(".", "__"): None for name in state if "num_batches" in name}
    assert torch.equal(built(written(**counts))["conv1.weight"], state["conv1.weight"])


def test_half_precision_file_is_loaded_as_float32(written, state):
    halved = {
        name.replace(".", "__"): t.half() for name, t in state.items() if t.is_floating_point()
    }
    assert built(written(**halved))["conv1.weight"].dtype == torch.float32


def test_file_for_torchvision_s_model_is_loaded(tmp_path):
    source = MobileNetV2(weights=None).build(10, "linear").state_dict()
    torch.save(source, tmp_path / "w.pth")
    loaded = MobileNetV2(weights=str(tmp_path / "w.pth")).build(5, "linear").state_dict()
    assert torch.equal(loaded["features.18.0.weight"], source["features.18.0.weight"])


def test_file_for_timm_s_model_is_loaded(tmp_path):
    source = Timm(model="test_vit", weights=None).build(10, "linear").state_dict()
    save_file(source, tmp_path / "w.safetensors")
    component = Timm(model="test_vit", weights=str(tmp_path / "w.safetensors"))
    assert torch.equal(component.build(5, "cosine").state_dict()["pos_embed"], source["pos_embed"])


def test_missing_tensors_are_named_and_counted(written):
    message = refusal(written(conv1__weight=None, layer3__4__bn2__bias=None))
    assert "does not fit ResNet32" in message
    assert "2 missing (conv1.weight, layer3.4.bn2.bias)" in message


def test_superfluous_tensors_are_named_and_counted(written):
    assert "1 superfluous (fc.weight)" in refusal(written(fc__weight=torch.zeros(3)))


def test_tensors_of_another_shape_are_named_with_both_shapes(written):
    message = refusal(written(conv1__weight=torch.zeros(64, 3, 7, 7)))
    assert "1 of another shape (conv1.weight (64, 3, 7, 7) instead of (16, 3, 3, 3))" in message


def test_many_wrong_tensors_are_told_at_once_and_cut(tmp_path):
    other = Timm(model="test_resnet", weights=None).build(10, "linear").state_dict()
    torch.save(other, tmp_path / "w.pt")
    message = refusal(str(tmp_path / "w.pt"))
    assert ", ...); " in message
    assert " missing (" in message
    assert " superfluous (" in message
    assert "the last layer, 'linear', may differ" in message


def test_missing_file_is_named(tmp_path):
    path = str(tmp_path / "none.pt")
    assert f"there is no file {path!r}" in refusal(path, ltcore.SurroundingsError)


def test_folder_is_no_file(tmp_path):
    assert "there is no file" in refusal(f"{tmp_path}/", ltcore.SurroundingsError)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_damaged_file_is_said_to_be_damaged(written, suffix):
    path = written(suffix)
    with open(path, "r+b") as file:
        file.truncate(1000)
    message = refusal(path, ltcore.SurroundingsError)
    assert "weights" + suffix in message
    assert "cannot be read" in message
    assert "damaged" in message


def test_empty_file_is_said_to_be_damaged(tmp_path):
    (tmp_path / "w.pt").touch()
    assert "cannot be read" in refusal(str(tmp_path / "w.pt"), ltcore.SurroundingsError)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"state_dict": {"w": torch.zeros(1)}, "epoch": 3}, "a mapping of state_dict, epoch"),
        ([torch.zeros(1)], "a list"),
        (torch.zeros(1), "a Tensor"),
    ],
)
def test_other_content_than_a_state_dict_is_named(tmp_path, content, found):
    torch.save(content, tmp_path / "w.pt")
    message = refusal(str(tmp_path / "w.pt"))
    assert f"holds {found}, not a state dict" in message


class Malicious:
    """Unpickled, it would write a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def pickled(value, path):
    path.write_bytes(pickle.dumps(value, protocol=2))


@pytest.mark.parametrize("save", [torch.save, pickled])
def test_file_that_would_run_code_is_refused_and_runs_none(tmp_path, save):
    save({"w": Malicious(tmp_path / "trace")}, tmp_path / "w.pt")
    assert "not loaded: it is no file of plain tensors" in refusal(str(tmp_path / "w.pt"))
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("weights", ["a/b", r"a\b", "w.pt", "w.pth", "w.safetensors", "w.bin"])
def test_separators_and_suffixes_tell_a_file(weights):
    assert is_file(weights)


@pytest.mark.parametrize("weights", ["IMAGENET1K_V1", "resnet18.a1_in1k", "pretrained"])
def test_names_of_weights_are_no_files(weights):
    assert not is_file(weights)


def test_relative_path_is_found_from_the_working_directory(written, monkeypatch, tmp_path):
    written(".pt")
    monkeypatch.chdir(tmp_path)
    assert "conv1.weight" in read_weights("weights.pt")


def test_vit_b_16_takes_files_of_timm_s_model(tmp_path):
    save_file({"conv_proj.weight": torch.zeros(1)}, tmp_path / "w.safetensors")
    component = ViTB16(weights=str(tmp_path / "w.safetensors"))
    with (
        torch.device("meta"),
        pytest.raises(ltcore.SpecError, match=r"does not fit Vision.*cls_token"),
    ):
        component.build(10, "linear")
