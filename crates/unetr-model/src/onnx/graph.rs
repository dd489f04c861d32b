use std::collections::HashSet;

use candle_core::{DType, Device, Tensor};

use super::proto::{
    self, Dimension, Node, Size, TensorShape, TensorType, Type, ValueInfo, element,
};
use super::scope::Scope;
use crate::{Error, Parameters};

/// A tensor of the graph.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) name: String,
    /// Without the batch, for what is computed of the images.
    pub(super) dims: Vec<usize>,
}

impl Value {
    /// The sizes without the batch's: 2 of tokens, 3 of a map.
    pub(super) fn sizes<const N: usize>(&self) -> [usize; N] {
        std::array::from_fn(|axis| self.dims[axis])
    }
}

/// A graph that grows node by node, with the tensors its nodes take.
pub(super) struct Graph<'a> {
    pub(super) parameters: &'a Parameters,
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
        Scope::root(self)
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

    pub(super) fn push(&mut self, node: Node) {
        self.graph.node.push(node);
    }

    pub(super) fn finish(self) -> proto::Graph {
        self.graph
    }

    /// Numbers of the file in f32, unless it has some of that name.
    pub(super) fn numbers(&mut self, name: String, values: &Tensor) -> Result<Value, Error> {
        let dims = values.dims().to_vec();
        if self.names.insert(name.clone()) {
            let values = values.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
            let values = values.flatten_all()?.to_vec1::<f32>()?;
            let mut raw_data = Vec::with_capacity(4 * values.len());
            raw_data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            self.initializer(&name, element::FLOAT, &dims, raw_data);
        }
        Ok(Value { name, dims })
    }

    /// The sizes of a batch as a tensor, for `Reshape`.
    pub(super) fn shape(&mut self, dims: &[usize]) -> Value {
        let name = format!("shape/batch{}", joined(dims));
        let rank = vec![dims.len() + 1];
        if self.names.insert(name.clone()) {
            // 0 is the size that is there, the batch's.
            let sizes = std::iter::once(0).chain(dims.iter().map(|&size| size as i64));
            let raw_data = sizes.flat_map(i64::to_le_bytes).collect();
            self.initializer(&name, element::INT64, &rank, raw_data);
        }
        Value { name, dims: rank }
    }

    fn initializer(&mut self, name: &str, data_type: i32, dims: &[usize], raw_data: Vec<u8>) {
        self.graph.initializer.push(proto::Tensor {
            dims: dims.iter().map(|&size| size as i64).collect(),
            data_type,
            name: name.to_owned(),
            raw_data,
        });
    }

    /// The name itself, or with the first number that makes it another one.
    pub(super) fn unique(&mut self, name: &str) -> String {
        let (mut unique, mut number) = (name.to_owned(), 0);
        while !self.names.insert(unique.clone()) {
            number += 1;
            unique = format!("{name}_{number}");
        }
        unique
    }
}

/// Sizes as part of a name.
pub(super) fn joined(dims: &[usize]) -> String {
    dims.iter().map(|size| format!("x{size}")).collect()
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
