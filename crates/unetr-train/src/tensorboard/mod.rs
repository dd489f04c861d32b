//! Event files that TensorBoard reads.
//!
//! A file is a sequence of records ([TFRecord](https://www.tensorflow.org/tutorials/load_data/tfrecord)):
//! length, data and their checksums. Each record is an
//! [`Event`](https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto),
//! a message of protocol buffers. Every start of a run has a file of its own.

mod callback;
mod proto;
mod record;
mod writer;

pub use callback::TensorBoard;
pub use writer::EventWriter;
