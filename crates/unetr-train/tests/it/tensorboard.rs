//! Event files, read back with a checksum of our own; `scripts/check_tensorboard.py` reads them with
//! TensorBoard.

use std::fs;
use std::path::Path;
use std::time::Duration;

use image::{Rgb, RgbImage};
use prost::Message;
use unetr_train::{Callback, EventWriter, Plan, Record, Split, StepReport, TensorBoard};

/// What we read of TensorBoard's `Event`, with the numbers of its `event.proto` and `summary.proto`.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    session_log: Option<SessionLog>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
    #[prost(message, optional, tag = "4")]
    image: Option<Image>,
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(int32, tag = "1")]
    height: i32,
    #[prost(int32, tag = "2")]
    width: i32,
    #[prost(int32, tag = "3")]
    colorspace: i32,
    #[prost(bytes = "vec", tag = "4")]
    encoded_image_string: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// CRC-32C bit by bit, Castagnoli's polynomial reversed, and TensorFlow's mask.
fn masked_crc(data: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
        }
    }
    let crc = !crc;
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The events of a file; every length and checksum has to be right.
fn events(path: &Path) -> Vec<Event> {
    let bytes = fs::read(path).unwrap();
    let (mut rest, mut events) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        let (length, after) = rest.split_at(8);
        let (length_crc, after) = after.split_at(4);
        let size = u64::from_le_bytes(length.try_into().unwrap()) as usize;
        let (data, after) = after.split_at(size);
        let (data_crc, after) = after.split_at(4);
        let stored = |crc: &[u8]| u32::from_le_bytes(crc.try_into().unwrap());
        assert_eq!(stored(length_crc), masked_crc(length));
        assert_eq!(stored(data_crc), masked_crc(data));
        events.push(Event::decode(data).unwrap());
        rest = after;
    }
    events
}

/// The files of a folder in the order in which TensorBoard reads them.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn scalars(event: &Event) -> Vec<(&str, f32)> {
    let values = &event.summary.as_ref().unwrap().value;
    let scalar = |value: &Value| value.simple_value.unwrap();
    values
        .iter()
        .map(|value| (value.tag.as_str(), scalar(value)))
        .collect()
}

#[test]
fn the_checksum_is_that_of_the_standard() {
    // RFC 3720, B.4: 32 bytes of zeros.
    let crc: u32 = 0x8a91_36aa;
    let masked = crc.rotate_right(15).wrapping_add(0xa282_ead8);
    assert_eq!(masked_crc(&[0; 32]), masked);
}

#[test]
fn numbers_and_pictures_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = EventWriter::create(folder.path(), 41).unwrap();
    let values = [("a/b", 0.5), ("c", f64::NAN), ("d", f64::INFINITY)];
    writer.scalars(42, values).unwrap();
    let picture = RgbImage::from_fn(7, 5, |x, y| Rgb([x as u8 * 30, y as u8 * 50, 9]));
    writer.image(43, "picture", &picture).unwrap();
    // Nothing is written before it has to be.
    assert_eq!(events(writer.path()).len(), 2);
    writer.flush().unwrap();
    let events = events(writer.path());
    assert_eq!(events.len(), 4);
    assert_eq!(events[0].file_version.as_deref(), Some("brain.Event:2"));
    assert_eq!(events[1].session_log, Some(SessionLog { status: 1 }));
    assert_eq!(events[1].step, 42);
    assert_eq!(events[2].step, 42);
    let found = scalars(&events[2]);
    assert_eq!((found[0], found[2]), (("a/b", 0.5), ("d", f32::INFINITY)));
    assert!(found[1].1.is_nan());
    let value = &events[3].summary.as_ref().unwrap().value[0];
    let image = value.image.as_ref().unwrap();
    assert_eq!((image.width, image.height, image.colorspace), (7, 5, 3));
    let decoded = image::load_from_memory(&image.encoded_image_string).unwrap();
    assert_eq!(decoded.to_rgb8(), picture);
    assert_eq!((events[3].step, value.tag.as_str()), (43, "picture"));
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    assert!((now.as_secs_f64() - events[3].wall_time).abs() < 60.);
}

fn plan(first_step: u64) -> Plan {
    Plan {
        epochs: 2,
        batches_per_epoch: 3,
        steps: 6,
        first_step,
    }
}

fn report(step: u64) -> StepReport {
    StepReport {
        epoch: 1,
        step,
        learning_rate: 0.25,
        loss: 1. / step as f64,
        parts: vec![("soft_jaccard".to_owned(), 0.125)],
        gradient_norm: Some(0.5),
        memory: Some(2_000_000_000),
        images_per_second: 64.,
        time_left: Duration::from_secs(1),
    }
}

#[test]
fn a_run_is_written_and_a_resumed_one_takes_the_place_of_what_it_repeats() {
    let folder = tempfile::tempdir().unwrap();
    let picture = RgbImage::new(4, 4);
    let mut board = TensorBoard::create(folder.path().join("board"))
        .unwrap()
        .images(|record| Ok(vec![(format!("epoch {}", record.epoch), picture.clone())]));
    for first_step in [0, 3] {
        board.on_start(&plan(first_step));
        for step in first_step + 1..=first_step + 4 {
            board.on_step(&report(step));
        }
        let record = Record::new(1, first_step + 3)
            .metric(Split::Train, "running_loss", 2.)
            .metric(Split::Validation, "mean_iou", 0.5);
        board.on_epoch(&record);
        board.on_end();
    }
    let files = files(&folder.path().join("board"));
    assert_eq!(files.len(), 2, "{files:?}");
    for (path, first_step) in files.iter().zip([0i64, 3]) {
        assert!(path.to_string_lossy().contains("tfevents"));
        let events = events(path);
        assert_eq!(events[1].session_log, Some(SessionLog { status: 1 }));
        assert_eq!(events[1].step, first_step + 1);
        assert_eq!(events.len(), 2 + 4 + 2);
        let step = &events[2];
        assert_eq!(step.step, first_step + 1);
        let loss = (1. / (first_step + 1) as f64) as f32;
        assert_eq!(
            scalars(step),
            [
                ("step/loss", loss),
                ("step/learning_rate", 0.25),
                ("step/images_per_second", 64.),
                ("step/soft_jaccard", 0.125),
                ("step/gradient_norm", 0.5),
                ("step/memory_gb", 2.)
            ]
        );
        let epoch = &events[6];
        assert_eq!(epoch.step, first_step + 3);
        let values = scalars(epoch);
        assert!(values.contains(&("train/running_loss", 2.)), "{values:?}");
        assert!(values.contains(&("validation/mean_iou", 0.5)), "{values:?}");
        let value = &events[7].summary.as_ref().unwrap().value[0];
        assert_eq!(value.tag, "epoch 1");
    }
}

#[test]
fn a_folder_that_cannot_be_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "").unwrap();
    let error = TensorBoard::create(&path).unwrap_err();
    assert!(error.to_string().contains("file"), "{error}");
    let error = EventWriter::create(&path, 0).unwrap_err();
    assert!(error.to_string().contains("file"), "{error}");
}
