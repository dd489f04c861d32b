//! What a file says of itself, the other inputs and outputs, and what is refused.

use candle_core::{D, DType, Device, Tensor};
use unetr_model::{Error, Mode, OnnxConfig, OnnxInput, OnnxOutput, Parameters, Unetr, UnetrConfig};

use super::proto::{Size, ValueInfo, element};
use super::{export, images, interpreter, noise, random, read};
use crate::fixture::{assert_close, distance};

fn cfg() -> UnetrConfig {
    UnetrConfig {
        classes: 5,
        ..UnetrConfig::tiny().with_image_size([32, 48])
    }
}

/// Name, type of the elements and sizes; the batch is named.
fn described(info: &ValueInfo) -> (&str, i32, Vec<i64>) {
    let tensor = info.r#type.as_ref().unwrap().tensor_type.as_ref().unwrap();
    let sizes = tensor
        .shape
        .as_ref()
        .unwrap()
        .dim
        .iter()
        .map(|dim| dim.size.as_ref().unwrap());
    let (batch, sizes) = sizes.partition::<Vec<_>, _>(|size| matches!(size, Size::Param(_)));
    assert_eq!(batch, [&Size::Param("batch".to_owned())]);
    let size = |size: &Size| match size {
        Size::Value(size) => *size,
        Size::Param(name) => panic!("{name}"),
    };
    let sizes = sizes.into_iter().map(size).collect();
    (&info.name, tensor.elem_type, sizes)
}

#[test]
fn a_file_says_what_it_is() {
    let (model, parameters) = random(&cfg());
    let onnx = export(&model, &parameters, &OnnxConfig::default());
    assert_eq!((onnx.ir_version, &*onnx.producer_name), (8, "unetr"));
    assert_eq!(onnx.producer_version, env!("CARGO_PKG_VERSION"));
    let [opset] = &*onnx.opset_import else {
        panic!("{:?}", onnx.opset_import);
    };
    assert_eq!((&*opset.domain, opset.version), ("", 17));
    let [config, options] = &*onnx.metadata_props else {
        panic!("{:?}", onnx.metadata_props);
    };
    assert_eq!((&*config.key, &*options.key), ("config", "onnx"));
    assert_eq!(
        serde_json::from_str::<UnetrConfig>(&config.value).unwrap(),
        cfg()
    );
    let options: OnnxConfig = serde_json::from_str(&options.value).unwrap();
    assert_eq!(options, OnnxConfig::default());

    let graph = onnx.graph.unwrap();
    assert_eq!(
        described(&graph.input[0]),
        ("images", element::FLOAT, vec![3, 32, 48])
    );
    assert_eq!(
        described(&graph.output[0]),
        ("logits", element::FLOAT, vec![5, 32, 48])
    );
    let mut names: Vec<&str> = graph.node.iter().map(|node| &*node.name).collect();
    assert!(names.contains(&"vit.blocks.3.attn/Softmax"), "{names:?}");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), graph.node.len());
}

#[test]
fn pixels_are_normalised() {
    let (model, parameters) = random(&cfg());
    let options = OnnxConfig {
        input: OnnxInput::IMAGENET,
        ..OnnxConfig::default()
    };
    let graph = export(&model, &parameters, &options).graph.unwrap();
    assert_eq!(
        described(&graph.input[0]),
        ("images", element::UINT8, vec![32, 48, 3])
    );

    let pixels = ((noise(7, &[2, 32, 48, 3]) + 1.).unwrap() * 127.5).unwrap();
    let pixels = pixels.to_dtype(DType::U8).unwrap();
    let OnnxInput::Pixels { mean, std } = options.input else {
        panic!("no pixels");
    };
    let row = |values: [f32; 3]| Tensor::new(&values.map(f64::from), &Device::Cpu).unwrap();
    let images = (pixels.to_dtype(DType::F64).unwrap() / 255.).unwrap();
    let images = images.broadcast_sub(&row(mean)).unwrap();
    let images = images.broadcast_div(&row(std)).unwrap();
    let images = images.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
    let expected = model.forward(&images, Mode::Eval).unwrap();
    assert_close(
        "logits",
        &interpreter::run(&graph, &pixels),
        &expected,
        1e-6,
    );
}

#[test]
fn probabilities_and_classes_are_those_of_the_logits() {
    let (model, parameters) = random(&cfg());
    let images = images(&cfg());
    let run = |output| {
        let options = OnnxConfig {
            output,
            ..OnnxConfig::default()
        };
        let graph = export(&model, &parameters, &options).graph.unwrap();
        let (name, elements, sizes) = described(&graph.output[0]);
        let found = interpreter::run(&graph, &images);
        let dims: Vec<i64> = found.dims()[1..].iter().map(|&size| size as i64).collect();
        assert_eq!(sizes, dims);
        (name.to_owned(), elements, found)
    };
    let (_, _, logits) = run(OnnxOutput::Logits);
    let (name, elements, probabilities) = run(OnnxOutput::Probabilities);
    assert_eq!((&*name, elements), ("probabilities", element::FLOAT));
    let exp = logits.exp().unwrap();
    let expected = exp.broadcast_div(&exp.sum_keepdim(1).unwrap()).unwrap();
    assert_close("probabilities", &probabilities, &expected, 1e-12);
    let (name, elements, classes) = run(OnnxOutput::Classes);
    assert_eq!((&*name, elements), ("classes", element::INT64));
    assert_eq!(distance(&classes, &logits.argmax(1).unwrap()), 0.);
    let found = classes.flatten_all().unwrap().max(D::Minus1).unwrap();
    assert!(found.to_scalar::<u32>().unwrap() > 0);
}

#[test]
fn parameters_of_any_type_become_f32() {
    let parameters = Parameters::new(1, DType::BF16, &Device::Cpu);
    let model = Unetr::new(&cfg(), parameters.var_builder()).unwrap();
    let graph = export(&model, &parameters, &OnnxConfig::default())
        .graph
        .unwrap();
    let name = "out.conv.conv.weight";
    let stored = graph
        .initializer
        .iter()
        .find(|tensor| tensor.name == name)
        .unwrap();
    let values = parameters.get(name).unwrap().to_dtype(DType::F32).unwrap();
    let values = values.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    assert_eq!(stored.data_type, element::FLOAT);
    assert_eq!(stored.dims, [5, 4, 1, 1]);
    assert_eq!(stored.raw_data, bytes);
}

#[test]
fn what_does_not_fit_is_refused_and_leaves_the_file() {
    let (model, parameters) = random(&cfg());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let options = OnnxConfig::default();
    model.save_onnx(&parameters, &options, &path).unwrap();
    let before = read(&path);

    let wider = UnetrConfig {
        classes: 6,
        ..cfg()
    };
    let error = random(&wider)
        .0
        .save_onnx(&parameters, &options, &path)
        .unwrap_err();
    assert!(matches!(error, Error::ParameterShape { .. }), "{error}");
    let scaled = UnetrConfig {
        layer_scale: Some(1.),
        ..cfg()
    };
    let error = random(&scaled)
        .0
        .save_onnx(&parameters, &options, &path)
        .unwrap_err();
    let expected = "parameter vit.blocks.0.ls1.gamma is missing; \
                    the weights are those of another configuration";
    assert_eq!(error.to_string(), expected);

    assert_eq!(read(&path), before);
    assert_eq!(folder.path().read_dir().unwrap().count(), 1);

    let nowhere = folder.path().join("absent/model.onnx");
    let error = model
        .save_onnx(&parameters, &options, &nowhere)
        .unwrap_err();
    assert!(error.to_string().contains("absent/model.onnx"), "{error}");
}

#[test]
fn pixels_need_three_channels_and_finite_statistics() {
    let pixels = |mean: f32, std: f32| OnnxConfig {
        input: OnnxInput::Pixels {
            mean: [mean; 3],
            std: [std; 3],
        },
        ..OnnxConfig::default()
    };
    assert!(pixels(0.5, 0.5).validate(3).is_ok());
    assert!(OnnxConfig::default().validate(1).is_ok());
    for (options, channels, expected) in [
        (
            pixels(0.5, 0.5),
            1,
            "in_channels is 1, expected 3 for an ONNX graph",
        ),
        (
            pixels(f32::NAN, 0.5),
            3,
            "input.mean is [NaN, NaN, NaN], expected finite",
        ),
        (
            pixels(0.5, 0.),
            3,
            "input.std is [0.0, 0.0, 0.0], expected finite",
        ),
    ] {
        let error = options.validate(channels).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
