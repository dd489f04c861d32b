//! What happened during training, one record after every epoch or evaluation.

mod file;
mod record;

pub use file::HistoryFile;
pub use record::{Record, Split};

/// The records of a training run, in order.
///
/// # Examples
/// ```
/// # use unetr_train::{History, Record, Split};
/// let mut history = History::default();
/// history.push(Record::new(1, 71).metric(Split::Validation, "loss", 1.4));
/// history.push(Record::new(2, 142).metric(Split::Validation, "loss", 1.1));
/// assert_eq!(history.series(Split::Validation, "loss"), [(1, 1.4), (2, 1.1)]);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    records: Vec<Record>,
}

impl History {
    /// Adds a record at the end. One of the same epoch and step, written before a run was killed, makes room for it.
    pub fn push(&mut self, record: Record) {
        if self.ends_with(&record) {
            self.records.pop();
        }
        self.records.push(record);
    }

    /// Whether the last record is of the same epoch and step.
    fn ends_with(&self, record: &Record) -> bool {
        let place = |record: &Record| (record.epoch, record.step);
        self.last().map(place) == Some(place(record))
    }

    /// All records, the oldest first.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The last record.
    pub fn last(&self) -> Option<&Record> {
        self.records.last()
    }

    /// The values of one metric of one split with their epochs; records without it are left out.
    pub fn series(&self, split: Split, metric: &str) -> Vec<(u64, f64)> {
        self.records
            .iter()
            .filter_map(|record| Some((record.epoch, record.get(split, metric)?)))
            .collect()
    }

    /// Drops all records after `step`, from which training is about to be resumed.
    pub fn rewind(&mut self, step: u64) {
        self.records.retain(|record| record.step <= step);
    }
}

impl FromIterator<Record> for History {
    fn from_iter<I: IntoIterator<Item = Record>>(records: I) -> Self {
        let mut history = Self::default();
        records.into_iter().for_each(|record| history.push(record));
        history
    }
}
