use std::fs;

use candle_core::{Device, Tensor};
use unetr_metrics::{AbsentClass, MetricSet};
use unetr_train::{BuildProfile, Environment, Error, Evaluation, RunFolder, Split};

fn metrics(absent: AbsentClass) -> MetricSet {
    let mut metrics = MetricSet::new(["pet", "background", "boundary"])
        .unwrap()
        .with_absent_class(absent);
    let logits = Tensor::new(
        &[[[2f32, 0., 0.], [0., 1., 1.], [0., 0., 0.]]],
        &Device::Cpu,
    )
    .unwrap();
    let labels = Tensor::new(&[[0u8, 1, 0]], &Device::Cpu).unwrap();
    metrics.update(&logits, &labels).unwrap();
    metrics.update_average("loss", f64::NAN);
    metrics
}

#[test]
fn an_evaluation_comes_back_with_a_loss_that_is_nan() {
    let folder = tempfile::tempdir().unwrap();
    let path = RunFolder::new(folder.path()).evaluation();
    for absent in [AbsentClass::Zero, AbsentClass::Skip] {
        let metrics = metrics(absent);
        Evaluation::new(3, 165, Split::Validation, &metrics)
            .write(&path)
            .unwrap();
        let read = Evaluation::read(&path).unwrap();
        assert_eq!(
            (read.epoch, read.step, read.split),
            (3, 165, Split::Validation)
        );
        assert_eq!(read.class_names, metrics.class_names());
        assert_eq!(read.confusion_matrix, *metrics.confusion_matrix());
        assert!(read.scores["loss"].is_nan());
        assert_eq!(read.scores["mean_iou"], metrics.compute()["mean_iou"]);
    }
    // Nothing of the writing is left.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_damaged_evaluation_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = RunFolder::new(folder.path()).evaluation();
    Evaluation::new(3, 165, Split::Validation, &metrics(AbsentClass::Zero))
        .write(&path)
        .unwrap();
    let text = fs::read_to_string(&path).unwrap();
    for damaged in [
        &text[..text.len() / 2],
        &text.replacen("\"boundary\"\n", "\"boundary\",\"sky\"\n", 1),
    ] {
        assert_ne!(damaged, text);
        fs::write(&path, damaged).unwrap();
        let error = Evaluation::read(&path).unwrap_err();
        assert!(
            matches!(&error, Error::Json { path: found, .. } if *found == path),
            "{error}"
        );
    }
}

#[test]
fn an_environment_says_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = RunFolder::new(folder.path()).environment();
    let environment = Environment::collect("cuda:0");
    environment.write(&path).unwrap();
    assert_eq!(Environment::read(&path).unwrap(), environment);
    assert_eq!(environment.device, "cuda:0");
    assert!(environment.cores > 0 && environment.threads > 0);
    assert_eq!(environment.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(
        environment.profile == BuildProfile::Debug,
        cfg!(debug_assertions)
    );
    let date = &environment.date;
    assert!(
        date.len() == 20 && &date[10..11] == "T" && date.ends_with('Z'),
        "{date}"
    );
    if cfg!(target_os = "linux") {
        assert!(
            environment.memory.is_some_and(|bytes| bytes > 1 << 26),
            "{environment:?}"
        );
    }
}
