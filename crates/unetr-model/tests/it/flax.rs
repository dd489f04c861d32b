use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use unetr_model::flax::convert;

fn tree(entries: &[(&str, &[usize])]) -> HashMap<String, Tensor> {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    entries
        .iter()
        .map(|&(name, shape)| (name.to_owned(), zeros(shape)))
        .collect()
}

#[test]
fn transposed_convolutions_are_turned() {
    let kernel = Tensor::arange(0f32, 4., &Device::Cpu)
        .unwrap()
        .reshape((2, 2, 1, 1))
        .unwrap();
    let tree = HashMap::from([("decoder5/transp_conv/kernel".to_owned(), kernel)]);
    let converted = &convert(&tree).unwrap()["decoder5.transp_conv.conv.weight"];
    assert_eq!(
        converted.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
        [3., 2., 1., 0.]
    );
}

#[test]
fn queries_keys_and_values_are_packed_in_order() {
    let part = |value: f32| Tensor::full(value, (6, 2, 3), &Device::Cpu).unwrap();
    let name = |part: &str| format!("vit/blocks/0/attn/{part}/kernel");
    let mut tree = HashMap::from([
        (name("query"), part(1.)),
        (name("key"), part(2.)),
        (name("value"), part(3.)),
    ]);
    let converted = &convert(&tree).unwrap()["vit.blocks.0.attn.qkv.weight"];
    assert_eq!(converted.dims(), [18, 6]);
    let rows: Vec<f32> = converted.mean(1).unwrap().to_vec1().unwrap();
    assert_eq!(rows, [[1.; 6], [2.; 6], [3.; 6]].concat());

    tree.remove(&name("value"));
    let error = convert(&tree).unwrap_err().to_string();
    assert!(
        error.contains("vit/blocks/0/attn/value/kernel is missing"),
        "{error}"
    );
    tree.remove(&name("query"));
    let error = convert(&tree).unwrap_err().to_string();
    assert!(
        error.contains("vit/blocks/0/attn/query/kernel is missing"),
        "{error}"
    );
}

#[test]
fn strange_names_and_shapes_are_errors() {
    let shape: &[usize] = &[2, 2];
    for name in [
        "",
        "kernel",
        "vit/norm/kernel",
        "vit/norm/scale/bias",
        "vit/blocks/0/attn/key",
        "vit/blocks/0/mlp/layers/1/kernel",
        "encoder1/layer/conv_norm4/layers/0/kernel",
        "encoder1/layer/conv_norm2/layers/2/kernel",
        "out/mean",
        "///",
    ] {
        let error = convert(&tree(&[(name, shape)])).unwrap_err().to_string();
        assert!(
            error.contains("is no parameter") || error.contains("missing"),
            "{name}: {error}"
        );
    }
    let error = convert(&tree(&[("out/kernel", shape)]))
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "`out/kernel` has shape [2, 2], expected [height, width, in, out]"
    );
}
