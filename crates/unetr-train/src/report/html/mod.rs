//! A training run as one page: HTML with everything inside, for a laptop, a phone and paper.
//!
//! Markup is made by Maud, which escapes whatever it is given: names of classes, photos and settings are text, never
//! markup. The page has no script and, by its content security policy, loads nothing. Read-outs of charts are groups
//! that show while the pointer is over their part of the chart.

mod chart;
mod classes;
mod curves;
mod line;
mod machine;
mod numbers;
mod page;
mod pictures;
mod run;
mod settings;
mod status;
mod summary;

pub use page::Report;
