use std::fmt;

use unetr_ops::{ClassMean, Region};

/// A loss's name, and in brackets what is special about it.
#[derive(Debug)]
pub(super) struct Description {
    name: &'static str,
    details: Vec<String>,
}

impl Description {
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            details: Vec::new(),
        }
    }

    /// Adds a detail, if there is one.
    pub(super) fn detail(mut self, detail: Option<String>) -> Self {
        self.details.extend(detail);
        self
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        match &*self.details {
            [] => Ok(()),
            details => write!(f, " ({})", details.join(", ")),
        }
    }
}

pub(super) fn ignoring(label: Option<u32>) -> Option<String> {
    label.map(|label| format!("ignoring {label}"))
}

/// What an overlap is taken of.
pub(super) fn overlap_of(region: Region, classes: &ClassMean) -> Option<String> {
    let region = match region {
        Region::Image => "each image",
        Region::Batch => "the batch",
    };
    let classes = match classes {
        ClassMean::Present => "classes present".to_owned(),
        ClassMean::All => "all classes".to_owned(),
        ClassMean::Only(classes) => format!("classes {classes:?}"),
    };
    Some(format!("{classes} in {region}"))
}
