use std::fs;
use std::io::Write;

use unetr_train::{Error, History, HistoryFile, Record, Split};

fn record(epoch: u64) -> Record {
    let mut record = Record::new(epoch, epoch * 71)
        .metric(Split::Train, "loss", 1.5 / epoch as f64)
        .metric(Split::Validation, "loss", 1.75 / epoch as f64)
        .metric(Split::Validation, "mean_iou", 0.25 * epoch as f64);
    (record.lr, record.seconds, record.images_per_second) = (0.003, 42.5, 115.0);
    record
}

#[test]
fn a_record_of_the_same_epoch_and_step_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    let mut file = HistoryFile::open(&path).unwrap();
    for (epoch, seconds) in [(1, 1.), (2, 2.), (2, 3.), (3, 4.)] {
        let mut record = record(epoch);
        record.seconds = seconds;
        file.append(record).unwrap();
    }
    let history = HistoryFile::read(&path).unwrap();
    assert_eq!(file.history(), &history);
    let seconds: Vec<f64> = history
        .records()
        .iter()
        .map(|record| record.seconds)
        .collect();
    assert_eq!(seconds, [1., 3., 4.]);
}

#[test]
fn records_are_lines_that_are_read_back() {
    let folder = tempfile::tempdir().unwrap();
    // The folder is made too.
    let path = folder.path().join("run/history.jsonl");
    let mut file = HistoryFile::open(&path).unwrap();
    file.append(record(1)).unwrap();
    file.append(record(2)).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    drop(file);

    let mut file = HistoryFile::open(&path).unwrap();
    file.append(record(3)).unwrap();
    let expected: History = (1..=3).map(record).collect();
    assert_eq!(file.history(), &expected);
    assert_eq!(HistoryFile::read(&path).unwrap(), expected);
    assert_eq!(
        expected.series(Split::Validation, "mean_iou"),
        [(1, 0.25), (2, 0.5), (3, 0.75)]
    );
    assert_eq!(expected.series(Split::Test, "loss"), []);
    let flat = record(1).flat_metrics();
    let names: Vec<&str> = flat.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["train/loss", "validation/loss", "validation/mean_iou"]
    );
}

#[test]
fn a_torn_last_line_is_dropped_and_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    HistoryFile::open(&path).unwrap().append(record(1)).unwrap();
    let whole = serde_json::to_vec(&record(2)).unwrap();
    // Every way the second line can be torn, its missing end of line included.
    for length in 1..=whole.len() {
        let first = fs::read(&path).unwrap();
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&whole[..length]).unwrap();
        assert_eq!(
            HistoryFile::read(&path).unwrap().records(),
            [record(1)],
            "{length} bytes"
        );
        assert_eq!(
            HistoryFile::open(&path).unwrap().history().records(),
            [record(1)]
        );
        assert_eq!(fs::read(&path).unwrap(), first);
    }
    HistoryFile::open(&path).unwrap().append(record(2)).unwrap();
    assert_eq!(
        HistoryFile::read(&path).unwrap().records(),
        [record(1), record(2)]
    );
}

#[test]
fn a_broken_line_before_the_last_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    fs::write(&path, "{\"epoch\": 1}\n").unwrap();
    let error = HistoryFile::open(&path).unwrap_err();
    assert!(matches!(error, Error::Record { line: 1, .. }));
    assert!(
        error
            .to_string()
            .contains("history.jsonl: line 1 is not a record"),
        "{error}"
    );
}

#[test]
fn numbers_that_are_not_finite_survive() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    let diverged = Record::new(1, 1)
        .metric(Split::Train, "loss", f64::NAN)
        .metric(Split::Train, "norm", f64::INFINITY)
        .metric(Split::Train, "least", f64::NEG_INFINITY);
    HistoryFile::open(&path).unwrap().append(diverged).unwrap();
    let history = HistoryFile::read(&path).unwrap();
    let read = |name| history.records()[0].get(Split::Train, name).unwrap();
    assert!(read("loss").is_nan());
    assert_eq!(
        (read("norm"), read("least")),
        (f64::INFINITY, f64::NEG_INFINITY)
    );
}

#[test]
fn rewinding_drops_what_came_after_a_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    let mut file = HistoryFile::open(&path).unwrap();
    (1..=4).for_each(|epoch| file.append(record(epoch)).unwrap());
    file.rewind(2 * 71).unwrap();
    file.append(record(3)).unwrap();
    assert_eq!(
        HistoryFile::read(&path).unwrap(),
        (1..=3).map(record).collect()
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
