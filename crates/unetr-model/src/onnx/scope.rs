use candle_core::{Device, Tensor};

use super::graph::{Graph, Value, joined};
use super::proto::{self, Node};
use crate::Error;

/// A place in a graph that has the name of a module, as a variable builder has.
pub(super) struct Scope<'g, 'a> {
    graph: &'g mut Graph<'a>,
    path: String,
}

/// A setting of a node.
#[derive(Debug, Clone, Copy)]
pub(super) enum Attribute<'a> {
    Float(f64),
    Int(i64),
    Ints(&'a [i64]),
}

impl<'g, 'a> Scope<'g, 'a> {
    pub(super) fn root(graph: &'g mut Graph<'a>) -> Self {
        let path = String::new();
        Self { graph, path }
    }

    /// The module of that name inside this one.
    pub(super) fn pp(&mut self, name: &str) -> Scope<'_, 'a> {
        let path = self.join('.', name);
        Scope {
            graph: self.graph,
            path,
        }
    }

    /// A parameter of this module.
    pub(super) fn parameter(&mut self, name: &str, dims: &[usize]) -> Result<Value, Error> {
        let (name, tensor) = self.find(name, dims)?;
        self.graph.numbers(name, &tensor)
    }

    /// The parameter `[outputs, inputs]`, transposed as `MatMul` takes it.
    pub(super) fn matrix(&mut self, name: &str, dims: [usize; 2]) -> Result<Value, Error> {
        let (name, tensor) = self.find(name, &dims)?;
        self.graph.numbers(name, &tensor.t()?)
    }

    /// The parameter `[channels]` as a column, for the pixels of maps.
    pub(super) fn column(&mut self, name: &str, channels: usize) -> Result<Value, Error> {
        let (name, tensor) = self.find(name, &[channels])?;
        self.graph.numbers(name, &tensor.reshape((channels, 1, 1))?)
    }

    /// So many times the same number.
    pub(super) fn constant(&mut self, value: f64, dims: &[usize]) -> Result<Value, Error> {
        let name = format!("constant/{}{}", value as f32, joined(dims));
        let values = Tensor::full(value, dims, &Device::Cpu)?;
        self.graph.numbers(name, &values)
    }

    /// A number for each channel of a map.
    pub(super) fn channels(&mut self, name: &str, values: &[f32]) -> Result<Value, Error> {
        let values = Tensor::from_slice(values, (values.len(), 1, 1), &Device::Cpu)?;
        self.graph.numbers(format!("constant/{name}"), &values)
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
        self.graph.push(Node {
            input: inputs.iter().map(|value| value.name.clone()).collect(),
            output: outputs.iter().map(|value| value.name.clone()).collect(),
            // The first result's, which no other node has.
            name: outputs.first().map_or(name, |value| value.name.clone()),
            op_type: op_type.to_owned(),
            attribute: attributes.iter().map(attribute).collect(),
        });
        outputs
    }

    /// The same numbers with other sizes.
    pub(super) fn reshape(&mut self, xs: &Value, dims: &[usize]) -> Value {
        let shape = self.graph.shape(dims);
        self.node("Reshape", &[xs, &shape], &[], dims)
    }

    /// The dimensions in another order; 0 is the batch and stays.
    pub(super) fn transpose(&mut self, xs: &Value, order: &[usize]) -> Value {
        let dims: Vec<usize> = order.iter().map(|&axis| xs.dims[axis - 1]).collect();
        let order = std::iter::once(0).chain(order.iter().map(|&axis| axis as i64));
        let order: Vec<i64> = order.collect();
        let attributes = [("perm", Attribute::Ints(&order))];
        self.node("Transpose", &[xs], &attributes, &dims)
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
    ) -> Result<Value, Error> {
        let number = self.constant(number, &[])?;
        Ok(self.binary(op_type, xs, &number))
    }

    fn join(&self, separator: char, name: &str) -> String {
        if self.path.is_empty() {
            return name.to_owned();
        }
        format!("{}{separator}{name}", self.path)
    }

    /// A parameter with its whole name.
    fn find(&self, name: &str, dims: &[usize]) -> Result<(String, Tensor), Error> {
        let name = self.join('.', name);
        let Some(var) = self.graph.parameters.get(&name) else {
            return Err(Error::MissingParameter { name });
        };
        if var.dims() != dims {
            let (found, expected) = (var.dims().to_vec(), dims.to_vec());
            return Err(Error::ParameterShape {
                name,
                found,
                expected,
            });
        }
        Ok((name, var.as_detached_tensor()))
    }
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
