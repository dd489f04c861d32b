use std::collections::HashSet;

use candle_core::{DType, Device, Tensor};

use super::proto::{self, Dimension, Size, TensorShape, TensorType, Type, ValueInfo, element};
use crate::{ModelError, Parameters};

/// A tensor of the graph.
#[derive(Debug, Clone)]
pub(super) struct Value {
    name: String,
    /// Without the batch, for what is computed of the images.
    dims: Vec<usize>,
}

impl Value {
    /// The sizes without the batch's: 2 of tokens, 3 of a map.
    pub(super) fn sizes<const N: usize>(&self) -> [usize; N] {
        std::array::from_fn(|axis| self.dims[axis])
    }
}

/// A setting of a node.
#[derive(Debug, Clone, Copy)]
pub(super) enum Attribute<'a> {
    Float(f64),
    Int(i64),
    Ints(&'a [i64]),
}

/// A graph that grows node by node, with the parameters its nodes take.
pub(super) struct Graph<'a> {
    parameters: &'a Parameters,
    graph: proto::Graph,
    /// Of all tensors.
    names: HashSet<String>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(parameters: &'a Parameters) -> Self {
        let graph = proto::Graph {
            name: "unetr".to_owned(),
            ..proto::Graph::default()
        };
        Self {
            parameters,
            graph,
            names: HashSet::new(),
        }
    }

    /// The outermost module.
    pub(super) fn root(&mut self) -> Scope<'_, 'a> {
        Scope {
            graph: self,
            path: String::new(),
        }
    }

    /// What the graph is given.
    pub(super) fn input(&mut self, name: &str, elements: i32, dims: &[usize]) -> Value {
        self.names.insert(name.to_owned());
        self.graph.input.push(batched(name, elements, dims));
        Value {
            name: name.to_owned(),
            dims: dims.to_vec(),
        }
    }

    /// What the graph gives: a value that no node takes, under another name.
    pub(super) fn output(&mut self, value: &Value, name: &str, elements: i32) {
        let outputs = self.graph.node.iter_mut().flat_map(|node| &mut node.output);
        for output in outputs.filter(|output| **output == value.name) {
            name.clone_into(output);
        }
        let output = batched(name, elements, &value.dims);
        self.graph.output.push(output);
    }

    pub(super) fn finish(self) -> proto::Graph {
        self.graph
    }

    /// A tensor of the file, unless it has one of that name.
    fn initializer(
        &mut self,
        name: String,
        data_type: i32,
        dims: &[usize],
        raw_data: impl FnOnce() -> Result<Vec<u8>, ModelError>,
    ) -> Result<Value, ModelError> {
        if self.names.insert(name.clone()) {
            self.graph.initializer.push(proto::Tensor {
                dims: dims.iter().map(|&size| size as i64).collect(),
                data_type,
                name: name.clone(),
                raw_data: raw_data()?,
            });
        }
        let dims = dims.to_vec();
        Ok(Value { name, dims })
    }

    /// The name itself, or with the first number that makes it another one.
    fn unique(&mut self, name: &str) -> String {
        let (mut unique, mut number) = (name.to_owned(), 0);
        while !self.names.insert(unique.clone()) {
            number += 1;
            unique = format!("{name}_{number}");
        }
        unique
    }
}

/// A place in a graph that has the name of a module, as a variable builder has.
pub(super) struct Scope<'g, 'a> {
    graph: &'g mut Graph<'a>,
    path: String,
}

impl<'a> Scope<'_, 'a> {
    /// The module of that name inside this one.
    pub(super) fn pp(&mut self, name: &str) -> Scope<'_, 'a> {
        let path = self.join('.', name);
        Scope {
            graph: self.graph,
            path,
        }
    }

    /// A parameter of this module.
    pub(super) fn parameter(&mut self, name: &str, dims: &[usize]) -> Result<Value, ModelError> {
        let name = self.join('.', name);
        let tensor = self.tensor(&name, dims)?;
        self.graph
            .initializer(name, element::FLOAT, dims, || float_bytes(&tensor))
    }

    /// The parameter `[outputs, inputs]`, transposed as `MatMul` takes it.
    pub(super) fn matrix(&mut self, name: &str, dims: [usize; 2]) -> Result<Value, ModelError> {
        let name = self.join('.', name);
        let tensor = self.tensor(&name, &dims)?.t()?;
        let [outputs, inputs] = dims;
        let dims = [inputs, outputs];
        self.graph
            .initializer(name, element::FLOAT, &dims, || float_bytes(&tensor))
    }

    /// So many times the same number.
    pub(super) fn constant(&mut self, value: f64, dims: &[usize]) -> Result<Value, ModelError> {
        let value = value as f32;
        let bytes = || Ok(value.to_le_bytes().repeat(dims.iter().product()));
        let name = format!("constant/{value}{}", joined(dims));
        self.graph.initializer(name, element::FLOAT, dims, bytes)
    }

    /// One number for each channel of a map.
    pub(super) fn channels(&mut self, name: &str, values: &[f32]) -> Result<Value, ModelError> {
        let bytes = || {
            Ok(values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect())
        };
        let dims = [values.len(), 1, 1];
        let name = format!("constant/{name}");
        self.graph.initializer(name, element::FLOAT, &dims, bytes)
    }

    /// A node of this module, whose result has these sizes.
    pub(super) fn node(
        &mut self,
        op_type: &str,
        inputs: &[&Value],
        attributes: &[(&str, Attribute<'_>)],
        dims: &[usize],
    ) -> Value {
        let [value] = self.nodes(op_type, inputs, attributes, dims);
        value
    }

    /// A node with several results of the same sizes.
    pub(super) fn nodes<const N: usize>(
        &mut self,
        op_type: &str,
        inputs: &[&Value],
        attributes: &[(&str, Attribute<'_>)],
        dims: &[usize],
    ) -> [Value; N] {
        let name = self.join('/', op_type);
        let outputs = std::array::from_fn(|_| Value {
            name: self.graph.unique(&name),
            dims: dims.to_vec(),
        });
        self.graph.graph.node.push(proto::Node {
            input: inputs.iter().map(|value| value.name.clone()).collect(),
            output: outputs.iter().map(|value| value.name.clone()).collect(),
            name: outputs.first().map_or(name, |value| value.name.clone()),
            op_type: op_type.to_owned(),
            attribute: attributes.iter().map(attribute).collect(),
        });
        outputs
    }

    /// The same numbers with other sizes.
    pub(super) fn reshape(&mut self, xs: &Value, dims: &[usize]) -> Result<Value, ModelError> {
        // 0 is the size that is there, the batch's.
        let sizes = std::iter::once(0).chain(dims.iter().map(|&size| size as i64));
        let bytes = || Ok(sizes.flat_map(i64::to_le_bytes).collect());
        let (name, rank) = (format!("shape/batch{}", joined(dims)), [dims.len() + 1]);
        let shape = self.graph.initializer(name, element::INT64, &rank, bytes)?;
        Ok(self.node("Reshape", &[xs, &shape], &[], dims))
    }

    /// The dimensions in another order; 0 is the batch and stays.
    pub(super) fn transpose(&mut self, xs: &Value, order: &[usize]) -> Value {
        let dims: Vec<usize> = order.iter().map(|&axis| xs.dims[axis - 1]).collect();
        let order = std::iter::once(0).chain(order.iter().map(|&axis| axis as i64));
        let order: Vec<i64> = order.collect();
        let attributes = [("perm", Attribute::Ints(&order))];
        self.node("Transpose", &[xs], &attributes, &dims)
    }

    /// A parameter of one number for each channel, for the pixels of maps.
    pub(super) fn column(&mut self, name: &str, channels: usize) -> Result<Value, ModelError> {
        let name = self.join('.', name);
        let tensor = self.tensor(&name, &[channels])?;
        let dims = [channels, 1, 1];
        self.graph
            .initializer(name, element::FLOAT, &dims, || float_bytes(&tensor))
    }

    /// An operation on every number.
    pub(super) fn unary(&mut self, op_type: &str, xs: &Value) -> Value {
        self.node(op_type, &[xs], &[], &xs.dims)
    }

    /// An operation on pairs of numbers; `ys` is repeated where it is smaller than `xs`.
    pub(super) fn binary(&mut self, op_type: &str, xs: &Value, ys: &Value) -> Value {
        self.node(op_type, &[xs, ys], &[], &xs.dims)
    }

    /// [`Self::binary`] with a number.
    pub(super) fn scalar(
        &mut self,
        op_type: &str,
        xs: &Value,
        number: f64,
    ) -> Result<Value, ModelError> {
        let number = self.constant(number, &[])?;
        Ok(self.binary(op_type, xs, &number))
    }

    fn join(&self, separator: char, name: &str) -> String {
        if self.path.is_empty() {
            return name.to_owned();
        }
        format!("{}{separator}{name}", self.path)
    }

    fn tensor(&self, name: &str, dims: &[usize]) -> Result<Tensor, ModelError> {
        let missing = || ModelError::MissingParameter {
            name: name.to_owned(),
        };
        let var = self.graph.parameters.get(name).ok_or_else(missing)?;
        if var.dims() != dims {
            return Err(ModelError::ParameterShape {
                name: name.to_owned(),
                found: var.dims().to_vec(),
                expected: dims.to_vec(),
            });
        }
        Ok(var.as_detached_tensor())
    }
}

fn float_bytes(tensor: &Tensor) -> Result<Vec<u8>, ModelError> {
    let tensor = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    Ok(values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect())
}

fn attribute((name, value): &(&str, Attribute<'_>)) -> proto::Attribute {
    let named = proto::Attribute {
        name: (*name).to_owned(),
        ..proto::Attribute::default()
    };
    match *value {
        Attribute::Float(value) => proto::Attribute {
            f: Some(value as f32),
            r#type: 1,
            ..named
        },
        Attribute::Int(value) => proto::Attribute {
            i: Some(value),
            r#type: 2,
            ..named
        },
        Attribute::Ints(values) => proto::Attribute {
            ints: values.to_vec(),
            r#type: 7,
            ..named
        },
    }
}

fn batched(name: &str, elem_type: i32, dims: &[usize]) -> ValueInfo {
    let sizes = dims.iter().map(|&size| Size::Value(size as i64));
    let dim = std::iter::once(Size::Param("batch".to_owned()))
        .chain(sizes)
        .map(|size| Dimension { size: Some(size) })
        .collect();
    let tensor_type = TensorType {
        elem_type,
        shape: Some(TensorShape { dim }),
    };
    ValueInfo {
        name: name.to_owned(),
        r#type: Some(Type {
            tensor_type: Some(tensor_type),
        }),
    }
}

fn joined(dims: &[usize]) -> String {
    dims.iter().map(|size| format!("x{size}")).collect()
}
