use std::collections::{HashMap, HashSet};
use std::fmt;

use candle_core::{Tensor, Var};

/// How a file of weights and the parameters of a network differ. All lists are sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadReport {
    /// How many parameters the file has in their shape.
    pub loaded: usize,
    /// Parameters that the file does not have.
    pub missing: Vec<String>,
    /// Names in the file that are no parameters.
    pub unexpected: Vec<String>,
    /// Parameters that have another shape in the file.
    pub mismatched: Vec<ShapeMismatch>,
    /// Names in the file that other libraries write and no network reads: `num_batches_tracked`, and those that
    /// [`monai`](crate::monai) lists.
    pub ignored: Vec<String>,
}

/// A parameter that has another shape in a file than in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeMismatch {
    /// Its name.
    pub name: String,
    /// Its shape in the file.
    pub found: Vec<usize>,
    /// Its shape in the network.
    pub expected: Vec<usize>,
}

impl LoadReport {
    /// Whether every parameter was there, of the right shape, and nothing else.
    pub fn is_exact(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.mismatched.is_empty()
    }

    /// Adds names that are not read.
    pub(super) fn ignore(&mut self, names: Vec<String>) {
        self.ignored.extend(names);
        self.ignored.sort_unstable();
    }

    pub(crate) fn compare(variables: &[(String, Var)], tensors: &HashMap<String, Tensor>) -> Self {
        let mut report = Self::default();
        for (name, var) in variables {
            match tensors.get(name) {
                None => report.missing.push(name.clone()),
                Some(tensor) if tensor.shape() != var.shape() => {
                    let (found, expected) = (tensor.dims().to_vec(), var.dims().to_vec());
                    report.mismatched.push(ShapeMismatch {
                        name: name.clone(),
                        found,
                        expected,
                    });
                }
                Some(_) => report.loaded += 1,
            }
        }
        let known: HashSet<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
        for name in tensors.keys().filter(|name| !known.contains(name.as_str())) {
            let list = if is_ignored(name) {
                &mut report.ignored
            } else {
                &mut report.unexpected
            };
            list.push(name.clone());
        }
        report.missing.sort_unstable();
        report.unexpected.sort_unstable();
        report
            .mismatched
            .sort_unstable_by(|a, b| a.name.cmp(&b.name));
        report.ignored.sort_unstable();
        report
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_exact() {
            return write!(f, "all {} parameters found", self.loaded);
        }
        let mut parts = Vec::new();
        if !self.missing.is_empty() {
            parts.push(format!(
                "{} missing ({})",
                self.missing.len(),
                first_of(&self.missing)
            ));
        }
        if !self.unexpected.is_empty() {
            let list = first_of(&self.unexpected);
            parts.push(format!("{} unexpected ({list})", self.unexpected.len()));
        }
        if !self.mismatched.is_empty() {
            let list: Vec<String> = self.mismatched.iter().map(ToString::to_string).collect();
            parts.push(format!(
                "{} of another shape ({})",
                list.len(),
                first_of(&list)
            ));
        }
        write!(
            f,
            "{}; the configuration differs from the one of the weights",
            parts.join(", ")
        )
    }
}

impl fmt::Display for ShapeMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {:?} instead of {:?}",
            self.name, self.found, self.expected
        )
    }
}

/// The first few names and how many more there are, for a message.
pub(crate) fn first_of(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let list = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => list,
        more => format!("{list} and {more} more"),
    }
}

/// Whether a name belongs to what other libraries save without using it.
pub(super) fn is_ignored(name: &str) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    match *parts {
        // Of MONAI up to 0.8, in blocks whose channels do not change.
        ["vit", "patch_embedding", "cls_token"] => true,
        [stage, "blocks", _, "1", "conv3" | "norm3", ..] => stage.starts_with("encoder"),
        _ => parts.iter().any(|part| {
            matches!(
                *part,
                "norm_cross_attn" | "cross_attn" | "num_batches_tracked"
            )
        }),
    }
}
