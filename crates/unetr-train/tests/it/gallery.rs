use std::fs;
use std::path::Path;

use image::{GrayImage, Luma, Rgb, RgbImage};
use unetr_data::Classes;
use unetr_train::{Error, Gallery, PredictionSample, Rank, ScoredSample};

fn sample(name: &str, score: f64, (width, height): (u32, u32)) -> ScoredSample {
    ScoredSample {
        name: name.to_owned(),
        score,
        pictures: PredictionSample {
            image: RgbImage::from_pixel(width, height, Rgb([200, 100, 50])),
            mask: GrayImage::from_pixel(width, height, Luma([1])),
            prediction: GrayImage::from_fn(width, height, |x, _| Luma([u8::from(x < width / 2)])),
        },
    }
}

fn samples(scores: &[f64]) -> Vec<ScoredSample> {
    let named = |(index, &score): (usize, &f64)| sample(&format!("photo {index}"), score, (64, 48));
    scores.iter().enumerate().map(named).collect()
}

fn classes() -> Classes {
    Classes::viridis(["pet", "background"]).unwrap()
}

fn chosen(scores: &[f64], count: usize) -> [Vec<usize>; 3] {
    let chosen = Gallery::choose(scores, count);
    [Rank::Best, Rank::Median, Rank::Worst].map(|rank| {
        chosen
            .iter()
            .filter(|place| place.0 == rank)
            .map(|place| place.1)
            .collect()
    })
}

fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn best_median_and_worst_are_told_apart() {
    let scores: Vec<f64> = (0..101).map(|n| f64::from(n * 37 % 101)).collect();
    let by_score = |indices: &Vec<usize>| {
        indices
            .iter()
            .map(|&index| scores[index])
            .collect::<Vec<_>>()
    };
    let [best, median, worst] = chosen(&scores, 3);
    assert_eq!(by_score(&best), [100.0, 99.0, 98.0]);
    assert_eq!(by_score(&median), [51.0, 50.0, 49.0]);
    assert_eq!(by_score(&worst), [0.0, 1.0, 2.0]);
}

#[test]
fn few_samples_are_shared_out_and_none_comes_twice() {
    assert_eq!(chosen(&[0.5], 3), [vec![0], vec![], vec![]]);
    assert_eq!(chosen(&[0.2, 0.9], 3), [vec![1], vec![], vec![0]]);
    assert_eq!(chosen(&[0.2, 0.9, 0.5], 3), [vec![1], vec![2], vec![0]]);
    let none: [Vec<usize>; 3] = Default::default();
    assert_eq!(
        (chosen(&[], 3), chosen(&[0.1, 0.2], 0)),
        (none.clone(), none)
    );
    for length in 0..12 {
        let scores = vec![0.5; length];
        let mut all = chosen(&scores, 3).concat();
        assert_eq!(all.len(), length.min(9), "{length}");
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), length.min(9), "{length}");
    }
}

#[test]
fn scores_that_are_not_finite_are_never_chosen() {
    let scores = [f64::NAN, 0.1, f64::INFINITY, 0.9, 0.5, f64::NEG_INFINITY];
    assert_eq!(chosen(&scores, 2), [vec![3], vec![4], vec![1]]);
}

#[test]
fn choosing_first_writes_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let all = samples(
        &(0..40)
            .map(|n| f64::from(n * 17 % 40) / 40.0)
            .collect::<Vec<_>>(),
    );
    let scores: Vec<f64> = all.iter().map(|sample| sample.score).collect();
    let few: Vec<ScoredSample> = Gallery::choose(&scores, 3)
        .iter()
        .map(|&(_, index)| all[index].clone())
        .collect();
    let of_all = Gallery::write(folder.path().join("all"), 7, &all, 3, &classes()).unwrap();
    let of_few = Gallery::write(folder.path().join("few"), 7, &few, 3, &classes()).unwrap();
    assert_eq!(of_all, of_few);
}

#[test]
fn a_gallery_comes_back_with_its_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let written =
        Gallery::write(folder.path(), 48, &samples(&[0.9, 0.1, 0.5]), 1, &classes()).unwrap();
    let read = Gallery::read(folder.path()).unwrap();
    assert_eq!(read, written);
    assert_eq!((read.step(), read.classes()), (48, &classes()));
    let entry = &read.entries()[0];
    assert_eq!(
        (entry.rank, entry.name.as_str(), entry.score),
        (Rank::Best, "photo 0", 0.9)
    );
    let decoded = |bytes: &[u8]| image::load_from_memory(bytes).unwrap().to_rgb8();
    let truth = decoded(entry.truth.bytes());
    assert_eq!(truth.dimensions(), (256, 192));
    assert!(
        truth
            .pixels()
            .all(|&pixel| pixel == Rgb(classes().colour(1)))
    );
    let prediction = decoded(entry.prediction.bytes());
    assert_eq!(*prediction.get_pixel(0, 0), Rgb(classes().colour(1)));
    assert_eq!(*prediction.get_pixel(255, 0), Rgb(classes().colour(0)));
    assert_eq!(decoded(entry.photo.bytes()).dimensions(), (256, 192));
}

#[test]
fn the_next_gallery_leaves_nothing_of_the_last() {
    let folder = tempfile::tempdir().unwrap();
    Gallery::write(folder.path(), 1, &samples(&[0.9, 0.1, 0.5]), 1, &classes()).unwrap();
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    let second = Gallery::write(folder.path(), 2, &samples(&[0.3]), 1, &classes()).unwrap();
    let entry = &second.entries()[0];
    let mut expected: Vec<&str> = [
        &entry.photo,
        &entry.truth,
        &entry.prediction,
        &entry.overlay,
    ]
    .map(unetr_train::Picture::name)
    .into();
    expected.extend(["gallery.json", "notes.txt"]);
    expected.sort_unstable();
    assert_eq!(files(folder.path()), expected);
}

#[test]
fn a_gallery_is_readable_while_it_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let write =
        |step| Gallery::write(path, step, &samples(&[0.9, 0.1, 0.5]), 1, &classes()).unwrap();
    write(0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (1..12).for_each(|step| drop(write(step))));
        while !writer.is_finished() {
            let gallery = Gallery::read(path).unwrap();
            let named = format!("step-{:07}-", gallery.step());
            assert!(
                gallery
                    .entries()
                    .iter()
                    .all(|entry| entry.photo.name().starts_with(&named))
            );
        }
    });
    assert_eq!(Gallery::read(path).unwrap().step(), 11);
}

#[test]
fn a_damaged_gallery_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let gallery = Gallery::write(folder.path(), 1, &samples(&[0.5]), 1, &classes()).unwrap();
    let photo = folder.path().join(gallery.entries()[0].photo.name());

    fs::write(&photo, "no picture").unwrap();
    let error = Gallery::read(folder.path()).unwrap_err();
    assert!(
        matches!(&error, Error::Picture { path, .. } if *path == photo),
        "{error}"
    );
    fs::write(&photo, b"GIF89a").unwrap();
    let error = Gallery::read(folder.path()).unwrap_err();
    assert!(
        matches!(&error, Error::PictureFormat { path } if *path == photo),
        "{error}"
    );
    fs::remove_file(&photo).unwrap();
    let error = Gallery::read(folder.path()).unwrap_err();
    assert!(
        matches!(&error, Error::Io { path, .. } if *path == photo),
        "{error}"
    );

    let index = folder.path().join("gallery.json");
    for name in ["../secret.png", "/etc/passwd", "a/b.png", "..", ""] {
        let json = fs::read_to_string(&index).unwrap();
        let hostile = json.replace(gallery.entries()[0].photo.name(), name);
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("gallery.json"), hostile).unwrap();
        let error = Gallery::read(other.path()).unwrap_err().to_string();
        assert!(
            error.contains("gallery.json") && error.contains("plain file name"),
            "{error}"
        );
    }
}

#[test]
fn a_sample_of_different_sizes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut odd = samples(&[0.5, 0.7]);
    odd[1].pictures.mask = GrayImage::new(8, 8);
    let error = Gallery::write(folder.path(), 1, &odd, 1, &classes()).unwrap_err();
    assert!(
        matches!(
            error,
            Error::SampleSize {
                index: 1,
                mask: (8, 8),
                ..
            }
        ),
        "{error}"
    );
}
