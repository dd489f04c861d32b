//! The operators that networks are written with, from their definitions at
//! <https://onnx.ai/onnx/operators/>, in f64 and by Candle's own operations.

use std::collections::HashMap;

use candle_core::{D, DType, Device, Result, Tensor};

use super::proto::{self, Attribute, Node, element};

/// What a graph gives for images.
pub fn run(graph: &proto::Graph, images: &Tensor) -> Tensor {
    let mut values: HashMap<&str, Value> = graph
        .initializer
        .iter()
        .map(|tensor| (tensor.name.as_str(), initializer(tensor)))
        .collect();
    values.insert(&graph.input[0].name, Value::Numbers(images.clone()));
    for node in &graph.node {
        let inputs: Vec<&Value> = node.input.iter().map(|name| &values[&**name]).collect();
        let outputs = compute(node, &inputs)
            .unwrap_or_else(|error| panic!("{} ({}): {error}", node.name, node.op_type));
        assert_eq!(outputs.len(), node.output.len(), "{}", node.name);
        for (name, output) in node.output.iter().zip(outputs) {
            let before = values.insert(name, Value::Numbers(output));
            assert!(before.is_none(), "{name} is given twice");
        }
    }
    values[&*graph.output[0].name].numbers().clone()
}

enum Value {
    Numbers(Tensor),
    Sizes(Vec<i64>),
}

impl Value {
    fn numbers(&self) -> &Tensor {
        match self {
            Self::Numbers(tensor) => tensor,
            Self::Sizes(sizes) => panic!("{sizes:?} are no numbers"),
        }
    }

    fn sizes(&self) -> &[i64] {
        match self {
            Self::Numbers(tensor) => panic!("{:?} is no shape", tensor.dims()),
            Self::Sizes(sizes) => sizes,
        }
    }
}

fn initializer(tensor: &proto::Tensor) -> Value {
    let dims: Vec<usize> = tensor.dims.iter().map(|&size| size as usize).collect();
    match tensor.data_type {
        element::FLOAT => {
            let (numbers, rest) = tensor.raw_data.as_chunks::<4>();
            assert!(rest.is_empty(), "{}", tensor.name);
            let numbers: Vec<f32> = numbers
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect();
            let numbers = Tensor::from_vec(numbers, dims, &Device::Cpu).unwrap();
            Value::Numbers(numbers.to_dtype(DType::F64).unwrap())
        }
        element::INT64 => {
            let (sizes, rest) = tensor.raw_data.as_chunks::<8>();
            assert!(rest.is_empty() && dims == [sizes.len()], "{}", tensor.name);
            Value::Sizes(
                sizes
                    .iter()
                    .map(|bytes| i64::from_le_bytes(*bytes))
                    .collect(),
            )
        }
        other => panic!("{} has elements {other}", tensor.name),
    }
}

fn compute(node: &Node, inputs: &[&Value]) -> Result<Vec<Tensor>> {
    let settings = Settings::new(node);
    let xs = inputs[0].numbers();
    let input = |i: usize| inputs[i].numbers();
    let ys = match node.op_type.as_str() {
        "Add" => xs.broadcast_add(input(1))?,
        "Sub" => xs.broadcast_sub(input(1))?,
        "Mul" => xs.broadcast_mul(input(1))?,
        "Div" => xs.broadcast_div(input(1))?,
        "Erf" => xs.erf()?,
        "Tanh" => xs.tanh()?,
        "LeakyRelu" => (xs.relu()? - (xs.neg()?.relu()? * settings.float("alpha"))?)?,
        "MatMul" => xs.contiguous()?.broadcast_matmul(&input(1).contiguous()?)?,
        "Softmax" => {
            let axis = axis(settings.int("axis"), xs);
            let exp = xs.broadcast_sub(&xs.max_keepdim(axis)?)?.exp()?;
            exp.broadcast_div(&exp.sum_keepdim(axis)?)?
        }
        "ArgMax" => {
            assert_eq!(settings.int("keepdims"), 0);
            xs.argmax(axis(settings.int("axis"), xs))?
        }
        "Cast" => {
            assert_eq!(settings.int("to"), i64::from(element::FLOAT));
            xs.to_dtype(DType::F64)?
        }
        "Reshape" => xs.reshape(shape(inputs[1].sizes(), xs))?,
        "Transpose" => {
            let order = settings.ints("perm").iter().map(|&axis| axis as usize);
            xs.permute(order.collect::<Vec<_>>())?.contiguous()?
        }
        "Concat" => {
            let inputs: Vec<&Tensor> = inputs.iter().map(|value| value.numbers()).collect();
            Tensor::cat(&inputs, axis(settings.int("axis"), xs))?
        }
        "Split" => {
            let parts = xs.chunk(node.output.len(), axis(settings.int("axis"), xs))?;
            settings.all_read();
            return Ok(parts);
        }
        "Conv" => {
            let stride = stride(input(1), &settings);
            let padding = settings.ints_or("pads", &[0; 4]);
            assert!(padding.iter().all(|size| *size == padding[0]));
            let ys = xs.conv2d(input(1), padding[0] as usize, stride, 1, 1)?;
            biased(ys, inputs)?
        }
        "ConvTranspose" => {
            let stride = stride(input(1), &settings);
            biased(xs.conv_transpose2d(input(1), 0, 0, stride, 1)?, inputs)?
        }
        "LayerNormalization" => {
            assert_eq!(settings.int("axis"), -1);
            let ys = standardized(xs, settings.float("epsilon"))?;
            ys.broadcast_mul(input(1))?.broadcast_add(input(2))?
        }
        "InstanceNormalization" => {
            let ys = standardized(&xs.flatten_from(2)?, settings.float("epsilon"))?;
            let ys = ys.reshape(xs.shape())?;
            let [weight, bias] = [1, 2].map(|i| column(input(i), xs));
            ys.broadcast_mul(&weight?)?.broadcast_add(&bias?)?
        }
        "BatchNormalization" => {
            let [weight, bias, mean, variance] = [1, 2, 3, 4].map(|i| column(input(i), xs));
            let deviation = (variance? + settings.float("epsilon"))?.sqrt()?;
            let ys = xs.broadcast_sub(&mean?)?.broadcast_div(&deviation)?;
            ys.broadcast_mul(&weight?)?.broadcast_add(&bias?)?
        }
        other => panic!("{other} is no operator of these networks"),
    };
    settings.all_read();
    Ok(vec![ys])
}

/// The last dimension with mean 0 and variance 1.
fn standardized(xs: &Tensor, eps: f64) -> Result<Tensor> {
    let xs = xs.broadcast_sub(&xs.mean_keepdim(D::Minus1)?)?;
    let variance = xs.sqr()?.mean_keepdim(D::Minus1)?;
    xs.broadcast_div(&(variance + eps)?.sqrt()?)
}

/// The stride of a kernel; both are square.
fn stride(weight: &Tensor, settings: &Settings<'_>) -> usize {
    let kernel = settings.ints("kernel_shape").iter();
    let found = weight.dims()[2..].iter().map(|&size| size as i64);
    assert!(found.eq(kernel.copied()));
    let strides = settings.ints_or("strides", &[1; 2]);
    assert_eq!(strides[0], strides[1]);
    strides[0] as usize
}

fn biased(ys: Tensor, inputs: &[&Value]) -> Result<Tensor> {
    match inputs.get(2) {
        Some(bias) => ys.broadcast_add(&column(bias.numbers(), &ys)?),
        None => Ok(ys),
    }
}

/// A number for each channel of `xs`.
fn column(numbers: &Tensor, xs: &Tensor) -> Result<Tensor> {
    let mut shape = vec![1; xs.rank()];
    shape[1] = numbers.elem_count();
    numbers.reshape(shape)
}

fn axis(axis: i64, xs: &Tensor) -> usize {
    axis.rem_euclid(xs.rank() as i64) as usize
}

/// 0 is the size that is there.
fn shape(sizes: &[i64], xs: &Tensor) -> Vec<usize> {
    let size = |(i, &size): (usize, &i64)| match size {
        0 => xs.dims()[i],
        size => usize::try_from(size).unwrap(),
    };
    sizes.iter().enumerate().map(size).collect()
}

/// The attributes of a node, which all have to be read.
struct Settings<'a> {
    attributes: &'a [Attribute],
    read: std::cell::RefCell<Vec<&'a str>>,
}

impl<'a> Settings<'a> {
    fn new(node: &'a Node) -> Self {
        Self {
            attributes: &node.attribute,
            read: std::cell::RefCell::default(),
        }
    }

    fn find(&self, name: &str) -> Option<&'a Attribute> {
        let found = self.attributes.iter().find(|a| a.name == name)?;
        self.read.borrow_mut().push(&found.name);
        Some(found)
    }

    fn float(&self, name: &str) -> f64 {
        let found = self.find(name).unwrap();
        assert_eq!(found.r#type, 1);
        found.f.unwrap().into()
    }

    fn int(&self, name: &str) -> i64 {
        let found = self.find(name).unwrap();
        assert_eq!(found.r#type, 2);
        found.i.unwrap()
    }

    fn ints(&self, name: &str) -> &'a [i64] {
        let found = self.find(name).unwrap();
        assert_eq!(found.r#type, 7);
        &found.ints
    }

    fn ints_or(&self, name: &str, otherwise: &'a [i64]) -> &'a [i64] {
        match self.attributes.iter().any(|a| a.name == name) {
            true => self.ints(name),
            false => otherwise,
        }
    }

    fn all_read(&self) {
        assert_eq!(
            self.read.borrow().len(),
            self.attributes.len(),
            "{:?}",
            self.attributes
        );
    }
}
