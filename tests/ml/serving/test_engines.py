import numpy as np
import pytest
from onnx import TensorProto, helper

from ml.preprocessing import Preprocessing
from ml.serving import variants
from ml.serving.artefact import ArtefactError, read_card
from ml.serving.engines import EngineUnavailable, InferenceFailed, Running, load_engine
from ml.serving.predictor import Predictor
from ml.serving.quantised import heavy_layers, quantise, read_quantised, serving_folder
from ml.serving.variants import VARIANTS, Variant
from tests.ml.serving.builders import SIZE, expected_of, make_artefact, make_convolution, make_images

ON_ONNX = ["onnxruntime", "openvino"]


@pytest.fixture
def folder(tmp_path):
    return make_artefact(tmp_path / "model")


def engine_of(folder, variant, batches=(1,)):
    return load_engine(variant, folder, read_card(folder), Running(1, batches))


@pytest.mark.parametrize("name", ON_ONNX)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8])
def test_any_number_of_images_gives_each_its_own_score(folder, name, count):
    images = (make_images() * 2)[:count]
    given = Predictor(read_card(folder), engine_of(folder, name, (1, 4))).predict(images)
    np.testing.assert_allclose(given.scores, expected_of(images).scores, atol=1e-6)
    np.testing.assert_allclose(given.maps, expected_of(images).maps, atol=1e-6)


@pytest.mark.parametrize("name", ON_ONNX)
def test_a_later_run_does_not_change_what_an_earlier_one_gave(folder, name):
    engine = engine_of(folder, name)
    bright, dark = np.ones((1, 1, SIZE, SIZE), np.float32), np.zeros((1, 1, SIZE, SIZE), np.float32)
    raw, heat_map = engine.run(bright)
    engine.run(dark)
    assert (raw[0], heat_map.min()) == (1, 1)


@pytest.mark.parametrize("name", ON_ONNX)
@pytest.mark.parametrize(
    "shape", [(1, 3, SIZE, SIZE), (1, 1, SIZE, SIZE + 8), (1, SIZE, SIZE), (2, 1, 8, SIZE)]
)
def test_an_input_of_a_size_that_was_not_exported_is_refused_with_both_sizes(folder, name, shape):
    with pytest.raises(InferenceFailed, match=f"exported for float32 1 × {SIZE} × {SIZE}"):
        engine_of(folder, name).run(np.zeros(shape, np.float32))


def test_an_input_of_another_type_is_refused(folder):
    with pytest.raises(InferenceFailed, match="not float64"):
        engine_of(folder, None).run(np.zeros((1, 1, SIZE, SIZE)))


@pytest.mark.parametrize("name", ON_ONNX)
def test_a_network_of_another_size_than_its_cards_is_refused_on_loading(tmp_path, name):
    folder = make_artefact(tmp_path / "other", preprocessing=Preprocessing(24, 16, mean=(0.0,), std=(1.0,)))
    with pytest.raises(
        ArtefactError, match="takes 1 × 16 × 16, but the card's preprocessing gives 1 × 24 × 16"
    ):
        engine_of(folder, name)


@pytest.mark.parametrize("name", ON_ONNX)
def test_a_file_that_is_no_network_is_told(tmp_path, name):
    with pytest.raises(ArtefactError, match=r"can't load model\.onnx"):
        engine_of(make_artefact(tmp_path / "none", network=b"not a network"), name)


def test_every_variant_has_a_key_of_its_own_and_is_found_by_it():
    assert [Variant.of_key(variant.key) for variant in VARIANTS] == list(VARIANTS)
    assert Variant("openvino", "bf16").key == "openvino-bf16"
    assert Variant("openvino").key == "openvino"


@pytest.mark.parametrize("key", ["tensorrt", "openvino-int4", "openvino-float32 "])
def test_a_variant_that_does_not_exist_is_told_with_those_that_do(folder, key):
    with pytest.raises(
        EngineUnavailable, match=r"There is no engine .* here; there is onnxruntime, openvino, torch"
    ):
        load_engine(key, folder, read_card(folder))


def test_a_package_that_is_not_installed_is_named(folder, monkeypatch):
    monkeypatch.setattr(variants.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(
        EngineUnavailable, match="OpenVINO float32 can't run here: the package openvino is not"
    ):
        load_engine("openvino", folder, read_card(folder))


def test_without_a_graphics_processor_cuda_is_not_tried(folder, monkeypatch):
    monkeypatch.setattr(variants, "has_nvidia", lambda: False)
    with pytest.raises(EngineUnavailable, match="no NVIDIA graphics processor"):
        load_engine("torch_cuda", folder, read_card(folder))


@pytest.fixture
def convolution(tmp_path):
    return make_artefact(tmp_path / "convolution", network=make_convolution())


def calibration(folder):
    return read_card(folder).preprocessing.apply(make_images())


@pytest.mark.parametrize("name", ON_ONNX)
def test_int8_gives_nearly_the_scores_of_float32(convolution, name):
    quantise(convolution, read_card(convolution), calibration(convolution))
    given = Predictor(read_card(convolution), engine_of(convolution, f"{name}-int8")).predict(make_images())
    exact = expected_of(make_images()).scores
    assert 0 < np.abs(given.scores - exact).max() < 0.02


def test_int8_is_made_once(convolution):
    made = quantise(convolution, read_card(convolution), calibration(convolution))
    before = made.stat().st_mtime_ns
    quantise(convolution, read_card(convolution), calibration(convolution))
    assert made.stat().st_mtime_ns == before
    assert sorted(path.name for path in serving_folder(convolution).iterdir()) == ["int8.json", "int8.onnx"]


def test_without_its_file_int8_says_so(convolution):
    with pytest.raises(ArtefactError, match="no int8 network of this model on this machine"):
        engine_of(convolution, "onnxruntime-int8")


def test_a_flipped_bit_in_the_int8_file_is_noticed_and_it_is_made_anew(convolution):
    card = read_card(convolution)
    made = quantise(convolution, card, calibration(convolution))
    content = bytearray(made.read_bytes())
    content[len(content) // 2] ^= 1
    made.write_bytes(bytes(content))
    with pytest.raises(ArtefactError, match="not the file that was quantised"):
        engine_of(convolution, "openvino-int8")
    quantise(convolution, card, calibration(convolution))
    assert len(read_quantised(convolution, card)) == len(content)


def test_an_int8_file_of_another_model_is_refused(convolution, tmp_path):
    other = make_artefact(tmp_path / "other", network=make_convolution((3.0, 1.0)))
    quantise(other, read_card(other), calibration(other))
    serving_folder(convolution).parent.mkdir()
    serving_folder(other).rename(serving_folder(convolution))
    with pytest.raises(ArtefactError, match="made from another network"):
        engine_of(convolution, "onnxruntime-int8")


def test_a_network_that_cannot_be_quantised_is_told(tmp_path):
    folder = make_artefact(tmp_path / "none", network=b"not a network")
    with pytest.raises(ArtefactError, match="can't be quantised"):
        quantise(folder, read_card(folder), np.zeros((1, 1, SIZE, SIZE), np.float32))
    assert list(serving_folder(folder).iterdir()) == []


def test_only_layers_that_take_the_time_become_int8():
    layers = {"wide": [64, 64, 3, 3], "narrow": [2, 64, 1, 1]}
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["images", "wide"], ["between"], name="wide layer"),
            helper.make_node("Conv", ["between", "narrow"], ["map"], name="narrow layer"),
        ],
        "two layers",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 64, 18, 18])],
        [helper.make_tensor_value_info("map", TensorProto.FLOAT, ["batch", 2, 16, 16])],
        [
            helper.make_tensor(name, TensorProto.FLOAT, dims, np.zeros(np.prod(dims), np.float32))
            for name, dims in layers.items()
        ],
        value_info=[helper.make_tensor_value_info("between", TensorProto.FLOAT, ["batch", 64, 16, 16])],
    )
    assert heavy_layers(helper.make_model(graph)) == ["wide layer"]


def test_a_gradients_layers_keep_their_weights_as_they_are():
    values = helper.make_tensor(
        "shared", TensorProto.FLOAT, [64, 32, 3, 3], np.zeros(64 * 32 * 9, np.float32)
    )
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["images", "shared"], ["between"], name="forwards"),
            helper.make_node("ConvTranspose", ["between", "shared"], ["gradient"], name="backwards"),
        ],
        "a network and its gradient",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 32, 18, 18])],
        [helper.make_tensor_value_info("gradient", TensorProto.FLOAT, ["batch", 32, 18, 18])],
        [values],
        value_info=[helper.make_tensor_value_info("between", TensorProto.FLOAT, ["batch", 64, 16, 16])],
    )
    assert heavy_layers(helper.make_model(graph)) == ["forwards"]


def test_a_network_without_a_layer_that_int8_would_speed_up_is_told(folder):
    with pytest.raises(ArtefactError, match="no layer that int8 would make quicker"):
        quantise(folder, read_card(folder), calibration(folder))
