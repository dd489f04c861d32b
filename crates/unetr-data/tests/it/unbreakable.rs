//! Files as they should not be: each is the right pixels or one error that names it.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::{GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use unetr_data::{
    Batch, ClassMap, Compose, DataLoader, DataLoaderConfig, Dataset, Error, ExifOrientation,
    FolderConfig, FolderDataset, OnBroken, OxfordPets, read_image, read_mask,
};

use crate::fixtures::{copy_folder, fixture};

fn photo() -> RgbImage {
    RgbImage::from_fn(40, 30, |x, y| {
        Rgb([(6 * x) as u8, (8 * y) as u8, (x * y) as u8])
    })
}

fn encode(format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    photo().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn names_the_file(error: &Error, path: &Path) {
    let text = error.to_string();
    assert!(text.starts_with(path.to_str().unwrap()), "{text}");
}

#[test]
fn files_of_every_format_cut_off_at_every_place_are_whole_or_errors() {
    let folder = tempfile::tempdir().unwrap();
    for format in [
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::Gif,
        ImageFormat::Bmp,
        ImageFormat::WebP,
        ImageFormat::Tiff,
    ] {
        let whole = encode(format);
        let path = folder.path().join(format!("photo.{format:?}"));
        fs::write(&path, &whole).unwrap();
        let pixels = read_image(&path, ExifOrientation::Apply).unwrap();
        let mut errors = 0;
        let steps = 64;
        for share in 0..steps {
            fs::write(&path, &whole[..whole.len() * share / steps]).unwrap();
            match read_image(&path, ExifOrientation::Apply) {
                Ok(read) => assert_eq!(read, pixels, "{format:?} {share}/{steps}"),
                Err(error) => {
                    names_the_file(&error, &path);
                    errors += 1;
                }
            }
            if let Err(error) = read_mask(&path) {
                names_the_file(&error, &path);
            }
        }
        assert!(errors >= steps * 3 / 4, "{format:?}: {errors} of {steps}");
    }
}

#[test]
fn headers_of_huge_images_are_errors_before_anything_is_allocated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.jpg");
    let side = 50_000_u16.to_be_bytes();
    let mut jpeg = encode(ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 7].copy_from_slice(&side);
    jpeg[frame + 7..frame + 9].copy_from_slice(&side);
    let mut bmp = encode(ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&50_000_u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&50_000_u32.to_le_bytes());
    let mut gif = encode(ImageFormat::Gif);
    gif[6..10].copy_from_slice(&[0xFF; 4]);
    for bytes in [jpeg, bmp, gif] {
        fs::write(&path, bytes).unwrap();
        for error in [
            read_image(&path, ExifOrientation::Apply).unwrap_err(),
            read_mask(&path).unwrap_err(),
        ] {
            names_the_file(&error, &path);
            assert!(matches!(error, Error::Decode { .. }), "{error}");
        }
    }
}

#[test]
fn what_is_no_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    names_the_file(
        &read_image(folder.path(), ExifOrientation::Apply).unwrap_err(),
        folder.path(),
    );
    let missing = folder.path().join("missing.png");
    names_the_file(&read_mask(&missing).unwrap_err(), &missing);
}

/// Photos and masks of classes 0 to 2, of which some go wrong once the data set is open.
#[test]
fn files_that_change_during_an_epoch_are_counted_and_listed_or_end_it() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, masks) = (folder.path().join("photos"), folder.path().join("masks"));
    fs::create_dir_all(&photos).unwrap();
    fs::create_dir_all(&masks).unwrap();
    for n in 0..8 {
        photo().save(photos.join(format!("{n}.png"))).unwrap();
        let mask = GrayImage::from_fn(40, 30, |x, _| Luma([(x % 3) as u8]));
        mask.save(masks.join(format!("{n}.png"))).unwrap();
    }
    let classes = ClassMap::new([(0, 0), (1, 1), (2, 2)]);
    let dataset = FolderDataset::open(&photos, &masks, &FolderConfig::new(classes)).unwrap();
    let loader = |on_broken| {
        let config = DataLoaderConfig {
            on_broken,
            workers: 2,
            ..DataLoaderConfig::evaluation(2)
        };
        DataLoader::new(dataset.clone(), Compose::tutorial_val([16, 16]), config).unwrap()
    };
    let (strict, tolerant) = (loader(OnBroken::Fail), loader(OnBroken::Skip));

    fs::remove_file(photos.join("1.png")).unwrap();
    fs::write(photos.join("2.png"), "no photo").unwrap();
    GrayImage::from_pixel(40, 30, Luma([7]))
        .save(masks.join("4.png"))
        .unwrap();
    GrayImage::new(30, 40).save(masks.join("5.png")).unwrap();

    let mut epoch = tolerant.epoch(0);
    let indices: Vec<_> = epoch
        .by_ref()
        .flat_map(|batch| batch.unwrap().indices)
        .collect();
    assert_eq!(indices, [0, 3, 6, 7]);
    let listed: Vec<_> = epoch.skipped().iter().map(ToString::to_string).collect();
    for (text, parts) in listed.iter().zip([
        ["sample 1 (index 1)", "1.png", "No such file"],
        ["sample 2 (index 2)", "2.png", "cannot decode"],
        ["sample 4 (index 4)", "4.png", "mask value 7"],
        ["sample 5 (index 5)", "5.png", "30x40"],
    ]) {
        for part in parts {
            assert!(text.contains(part), "{text}: expected {part}");
        }
    }
    assert_eq!((listed.len(), tolerant.skipped()), (4, 4));

    let read: Vec<_> = strict.epoch(0).collect();
    assert!(matches!(
        read.last(),
        Some(Err(Error::Sample { index: 1, .. }))
    ));
}

#[test]
fn odd_photos_pass_through_the_whole_pipeline() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&fixture("odd"), folder.path());
    let pets = OxfordPets::open(folder.path()).unwrap();
    let count = pets.len();
    let config = DataLoaderConfig {
        workers: 3,
        ..DataLoaderConfig::evaluation(3)
    };
    let loader = DataLoader::new(pets, Compose::tutorial_train([64, 64]), config).unwrap();
    for epoch in 0..4 {
        let batches: Vec<_> = loader.epoch(epoch).collect::<Result<_, _>>().unwrap();
        assert_eq!(batches.iter().map(Batch::len).sum::<usize>(), count);
    }
}
