//! Samples kept in memory and in a file.

use std::collections::BTreeSet;
use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use image::{GrayImage, Luma, Rgb, RgbImage};
use tempfile::TempDir;
use unetr_data::{
    Affine, CacheStats, ClassMap, Compose, DataLoader, DataLoaderConfig, Dataset, Error,
    ExifOrientation, Fingerprint, FolderConfig, FolderDataset, HorizontalFlip, MemoryCache,
    Normalize, OxfordPets, OxfordPetsConfig, PrepareConfig, PreparedDataset, Resize, Result,
    Sample, Subset, Transform, sample_rng,
};

use crate::fixtures::{copy_folder, fixture};

/// Small samples of different sizes and numbers of masks, which count how often they are read.
#[derive(Default)]
struct Small {
    len: usize,
    broken: Option<usize>,
    version: u64,
    reads: AtomicUsize,
    /// Where as many threads meet in the middle of reading; 0 for nowhere.
    meeting: usize,
    reading: AtomicUsize,
}

impl Small {
    fn new(len: usize) -> Self {
        Self {
            len,
            ..Self::default()
        }
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

impl Dataset for Small {
    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, index: usize) -> Result<Sample> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.reading.fetch_add(1, Ordering::SeqCst);
        let start = Instant::now();
        while self.reading.load(Ordering::SeqCst) < self.meeting {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "one waits for another"
            );
            thread::yield_now();
        }
        if self.broken == Some(index) {
            return Err(Error::Io {
                path: format!("small/{index}.png").into(),
                source: std::io::ErrorKind::UnexpectedEof.into(),
            });
        }
        let (width, height) = (2 + index as u32 % 3, 3 + index as u32 % 2);
        let value = |x, y, plane: u32| (self.version as u32 + 50 * plane + 10 * y + x) as u8;
        let image = RgbImage::from_fn(width, height, |x, y| {
            Rgb([value(x, y, 0), value(x, y, 1), index as u8])
        });
        let mask = |plane| GrayImage::from_fn(width, height, |x, y| Luma([value(x, y, plane)]));
        let mut sample = Sample::new(self.name(index), image, mask(2));
        sample.extra_masks = (0..index as u32 % 3).map(|extra| mask(3 + extra)).collect();
        Ok(sample)
    }

    fn name(&self, index: usize) -> String {
        format!("small {index}")
    }

    fn fingerprint(&self) -> Result<Option<Fingerprint>> {
        Ok(Some(Fingerprint::new("Small").number(self.version)))
    }
}

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("small.prepared");
    (folder, place)
}

fn prepare(place: &Path, dataset: &impl Dataset) -> Result<PreparedDataset> {
    PreparedDataset::open_or_create(place, dataset, &PrepareConfig::default())
}

fn assert_same(a: &impl Dataset, b: &impl Dataset) {
    assert_eq!(a.len(), b.len());
    for index in 0..a.len() {
        assert_eq!(a.name(index), b.name(index));
        assert!(
            a.get(index).unwrap() == b.get(index).unwrap(),
            "sample {index}"
        );
    }
}

fn files(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn pets() -> OxfordPets {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/oxford_pets_sample");
    OxfordPets::open(root).unwrap()
}

#[test]
fn memory_gives_the_samples_of_the_source() {
    let pets = Subset::new(pets(), (0..40).collect()).unwrap();
    let cache = MemoryCache::new(pets.clone(), 1 << 30);
    assert_same(&cache, &pets);
    assert_same(&cache, &pets);
    let CacheStats {
        samples,
        bytes,
        hits,
        misses,
        ..
    } = cache.stats();
    assert_eq!((samples, hits, misses), (40, 40, 40));
    let pixels = |index| {
        let (width, height) = pets.get(index).unwrap().mask.dimensions();
        (4 * width * height) as usize
    };
    let pixels: usize = (0..40).map(pixels).sum();
    assert!(
        (pixels..pixels + 40 * 300).contains(&bytes),
        "{bytes} for {pixels} values"
    );
    assert_eq!(cache.fingerprint().unwrap(), pets.fingerprint().unwrap());
    assert!(matches!(cache.get(40), Err(Error::Index { index: 40, .. })));
}

#[test]
fn memory_keeps_to_its_budget_and_evicts_nothing() {
    let all = MemoryCache::new(Small::new(30), usize::MAX);
    (0..30).for_each(|index| drop(all.get(index).unwrap()));
    let budget = all.stats().bytes / 2;

    let cache = MemoryCache::new(Small::new(30), budget);
    for _ in 0..3 {
        assert_same(&cache, &Small::new(30));
    }
    let stats = cache.stats();
    assert!((12..18).contains(&stats.samples), "{stats:?}");
    assert!(
        stats.bytes <= budget && stats.bytes > budget * 9 / 10,
        "{stats:?}"
    );
    let held = stats.samples as u64;
    assert_eq!((stats.hits, stats.misses), (2 * held, 90 - 2 * held));
    assert_eq!(cache.dataset().reads() as u64, stats.misses);

    let nothing = MemoryCache::new(Small::new(3), 0);
    assert_same(&nothing, &Small::new(3));
    assert_same(&nothing, &Small::new(3));
    let stats = nothing.stats();
    assert_eq!(
        (stats.samples, stats.bytes, stats.hits, stats.misses),
        (0, 0, 0, 6)
    );
}

#[test]
fn memory_does_not_keep_errors() {
    let source = Small {
        broken: Some(1),
        ..Small::new(3)
    };
    let cache = MemoryCache::new(source, usize::MAX);
    for _ in 0..2 {
        let error = cache.get(1).unwrap_err().to_string();
        assert!(error.contains("small/1.png"), "{error}");
    }
    assert_eq!(cache.stats().samples, 0);
    assert_eq!(cache.stats().misses, 2);
}

/// All threads are in the middle of reading the same sample before any of them ends.
#[test]
fn threads_that_miss_a_sample_do_not_wait_for_each_other() {
    let source = Small {
        meeting: 4,
        ..Small::new(1)
    };
    let cache = MemoryCache::new(source, usize::MAX);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(cache.get(0).unwrap() == Small::new(1).get(0).unwrap()));
        }
    });
    let one = MemoryCache::new(Small::new(1), usize::MAX);
    drop(one.get(0).unwrap());
    let stats = cache.stats();
    assert_eq!((stats.samples, stats.hits, stats.misses), (1, 0, 4));
    assert_eq!(stats.bytes, one.stats().bytes);
}

#[test]
fn memory_serves_many_threads() {
    let source = Small::new(50);
    let cache = MemoryCache::new(Small::new(50), 4000);
    thread::scope(|scope| {
        for lane in 0..8 {
            let (cache, source) = (&cache, &source);
            scope.spawn(move || {
                for round in 0..20 {
                    for index in (0..50).map(|index| (index * 7 + lane * 3 + round) % 50) {
                        assert!(cache.get(index).unwrap() == source.get(index).unwrap());
                    }
                }
            });
        }
    });
    let stats = cache.stats();
    assert_eq!(stats.hits + stats.misses, 8 * 20 * 50);
    assert!(stats.bytes <= 4000 && stats.samples > 0, "{stats:?}");
}

#[test]
fn a_file_gives_the_samples_of_the_source() {
    let (_folder, place) = place();
    let pets = pets();
    assert_same(&prepare(&place, &pets).unwrap(), &pets);
    let opened = PreparedDataset::open(&place).unwrap();
    assert_same(&opened, &pets);
    assert_eq!(opened.transform(), &Compose::default());
    let len = pets.len();
    assert!(matches!(opened.get(len), Err(Error::Index { .. })));
    assert_eq!(opened.name(len), format!("sample {len}"));
}

#[test]
fn a_file_holds_transformed_samples() {
    let (_folder, place) = place();
    let pets = Subset::new(pets(), (0..20).collect()).unwrap();
    let resize = Compose::default().then(Resize::new([48, 64]));
    let cfg = PrepareConfig::new(resize.clone());
    let prepared = PreparedDataset::open_or_create(&place, &pets, &cfg).unwrap();
    assert_eq!(prepared.transform(), &resize);
    for index in 0..20 {
        let expected = resize.apply(pets.get(index).unwrap(), &mut sample_rng(0, 0, 0));
        assert!(prepared.get(index).unwrap() == expected.unwrap(), "{index}");
    }
    // A header, the index and the pixels are all that there is.
    let size = fs::metadata(&place).unwrap().len();
    let pixels = 20 * 48 * 64 * 4;
    assert!((pixels..pixels + 2000).contains(&size), "{size} bytes");

    let loader = DataLoader::new(
        prepared,
        Compose::default().then(Normalize::default()),
        DataLoaderConfig::evaluation(5),
    );
    let batches: Result<Vec<_>> = loader.unwrap().epoch(0).collect();
    assert_eq!(batches.unwrap()[3].images.dims(), [5, 3, 48, 64]);
}

#[test]
fn extra_masks_and_empty_data_sets_survive() {
    let (_folder, place) = place();
    assert_same(&prepare(&place, &Small::new(9)).unwrap(), &Small::new(9));
    fs::remove_file(&place).unwrap();
    assert!(prepare(&place, &Small::new(0)).unwrap().is_empty());
    assert!(PreparedDataset::open(&place).unwrap().is_empty());
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let (_folder, place) = place();
    let bytes = [1, 2, 3, 16, 100].map(|threads| {
        let cfg = PrepareConfig {
            threads: threads.try_into().unwrap(),
            ..PrepareConfig::default()
        };
        PreparedDataset::open_or_create(&place, &Small::new(40), &cfg).unwrap();
        let bytes = fs::read(&place).unwrap();
        fs::remove_file(&place).unwrap();
        bytes
    });
    assert!(bytes.iter().all(|other| *other == bytes[0]));
}

#[test]
fn many_threads_read_a_file() {
    let (_folder, place) = place();
    let source = Small::new(50);
    let prepared = prepare(&place, &source).unwrap();
    thread::scope(|scope| {
        for lane in 0..8 {
            let (prepared, source) = (&prepared, &source);
            scope.spawn(move || {
                for index in (0..1000).map(|index| (index * 7 + lane * 3) % 50) {
                    assert!(prepared.get(index).unwrap() == source.get(index).unwrap());
                }
            });
        }
    });
}

#[test]
fn a_file_is_made_again_when_its_source_has_changed() {
    let (_folder, place) = place();
    let source = Small::new(5);
    prepare(&place, &source).unwrap();
    prepare(&place, &source).unwrap();
    prepare(&place, &Arc::new(Small::new(5))).unwrap();
    assert_eq!(source.reads(), 5);

    let changed = Small {
        version: 1,
        ..Small::new(5)
    };
    assert_same(&prepare(&place, &changed).unwrap(), &changed);
    let cfg = PrepareConfig::new(Compose::default().then(Resize::new([4, 4])));
    let resized = PreparedDataset::open_or_create(&place, &changed, &cfg).unwrap();
    assert_eq!(resized.get(0).unwrap().mask.dimensions(), (4, 4));
    // The number of threads is no reason.
    let reads = changed.reads();
    let cfg = PrepareConfig {
        threads: 2.try_into().unwrap(),
        ..cfg
    };
    PreparedDataset::open_or_create(&place, &changed, &cfg).unwrap();
    assert_eq!(changed.reads(), reads);
}

#[test]
fn a_file_is_made_again_when_a_photo_has_changed() {
    let (_folder, place) = place();
    let root = tempfile::tempdir().unwrap();
    copy_folder(&fixture("odd"), root.path());
    let pets = || OxfordPets::open(root.path()).unwrap();
    let before = prepare(&place, &pets()).unwrap();
    let photo = root.path().join("images/Bengal_146.jpg");
    RgbImage::from_pixel(200, 200, Rgb([9; 3]))
        .save(&photo)
        .unwrap();
    let after = prepare(&place, &pets()).unwrap();
    assert_same(&after, &pets());
    let index = (0..7)
        .find(|&index| pets().name(index) == "Bengal_146")
        .unwrap();
    assert!(before.get(index).unwrap() != after.get(index).unwrap());
}

#[test]
fn fingerprints_follow_files_and_settings() {
    let root = tempfile::tempdir().unwrap();
    copy_folder(&fixture("odd"), root.path());
    let open = |cfg: &OxfordPetsConfig| OxfordPets::open_with(root.path(), cfg).unwrap();
    let print = |dataset: &dyn Dataset| dataset.fingerprint().unwrap().unwrap().to_string();
    let cfg = OxfordPetsConfig::default();
    let pets = open(&cfg);
    let first = print(&pets);
    assert_eq!(first.len(), 32);
    assert_eq!(print(&Arc::new(pets.clone())), first);

    let ignore = OxfordPetsConfig {
        orientation: ExifOrientation::Ignore,
        ..cfg.clone()
    };
    let subset = |indices| Subset::new(pets.clone(), indices).unwrap();
    let folder = |classes| {
        let masks = root.path().join("annotations/trimaps");
        let cfg = FolderConfig::new(classes);
        FolderDataset::open(root.path().join("images"), masks, &cfg).unwrap()
    };
    let classes = ClassMap::new([(1, 0), (2, 1), (3, 2)]);
    let mut prints = vec![
        first.clone(),
        print(&open(&ignore)),
        print(&open(&cfg.clone().exclude(["Abyssinian_5"]))),
        print(&subset(vec![0, 1])),
        print(&subset(vec![1, 0])),
        print(&subset(vec![0, 1, 1])),
        print(&folder(classes.clone())),
        print(&folder(classes.ignore(9))),
    ];
    // A photo and a mask as large as before, of another time.
    for file in [
        "images/Abyssinian_5.jpg",
        "annotations/trimaps/Abyssinian_5.png",
    ] {
        let file = File::options()
            .write(true)
            .open(root.path().join(file))
            .unwrap();
        let time = SystemTime::UNIX_EPOCH - Duration::from_nanos(prints.len() as u64);
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
        prints.push(print(&pets));
    }
    let count = prints.len();
    assert_eq!(prints.into_iter().collect::<BTreeSet<_>>().len(), count);

    fs::remove_file(root.path().join("images/Abyssinian_5.jpg")).unwrap();
    let error = pets.fingerprint().unwrap_err().to_string();
    assert!(error.contains("Abyssinian_5.jpg"), "{error}");
}

/// The values were computed with Python's integers, in a function that gives the RFC draft's hash of "foobar".
#[test]
fn fingerprints_are_the_same_everywhere() {
    assert_eq!(
        Fingerprint::new("").to_string(),
        "9d30c1f78465995be47dda5e4e4e77ed"
    );
    let print = Fingerprint::new("my photos").text("größe").number(7);
    assert_eq!(print.to_string(), "0d721a6105bcff1c46646d9c8632b0da");
    let parts = |a, b| Fingerprint::new("").text(a).text(b);
    assert_ne!(parts("a", "bc"), parts("ab", "c"));
}

#[test]
fn what_must_not_be_prepared_is_refused() {
    struct Nameless;
    impl Dataset for Nameless {
        fn len(&self) -> usize {
            1
        }
        fn get(&self, _: usize) -> Result<Sample> {
            let sample = Sample::new("floats", RgbImage::new(2, 2), GrayImage::new(2, 2));
            Normalize::default().apply(sample, &mut sample_rng(0, 0, 0))
        }
        fn fingerprint(&self) -> Result<Option<Fingerprint>> {
            Ok(Some(Fingerprint::new("Nameless")))
        }
    }
    struct Unknown;
    impl Dataset for Unknown {
        fn len(&self) -> usize {
            1
        }
        fn get(&self, index: usize) -> Result<Sample> {
            Small::new(1).get(index)
        }
    }
    let (folder, place) = place();
    let with = |transform| {
        let error =
            PreparedDataset::open_or_create(&place, &Small::new(3), &PrepareConfig::new(transform));
        error.unwrap_err().to_string()
    };
    let error = with(Compose::default().then(HorizontalFlip::default()));
    assert!(
        error.contains("`HorizontalFlip(p 0.5)` is random"),
        "{error}"
    );
    let error = with(Compose::default().then(Affine::new([-5.0, 5.0], 0)));
    assert!(error.contains("is random"), "{error}");
    let error = with(Compose::tutorial_val([4, 4]));
    assert!(error.contains("leave Normalize to the loader"), "{error}");
    let error = with(Compose::default().then(Resize::new([0, 4])));
    assert!(error.contains("size is 0x4"), "{error}");
    let error = prepare(&place, &Nameless).unwrap_err().to_string();
    assert!(
        error.contains("the photo of floats is made of floats"),
        "{error}"
    );
    let error = prepare(&place, &Unknown).unwrap_err().to_string();
    assert!(error.contains("no fingerprint"), "{error}");
    assert!(files(folder.path()).is_empty());
}

#[test]
fn a_broken_source_is_named_and_leaves_the_old_file() {
    let (folder, place) = place();
    let old = Small::new(12);
    prepare(&place, &old).unwrap();
    let broken = Small {
        broken: Some(7),
        version: 1,
        ..Small::new(12)
    };
    let error = prepare(&place, &broken).unwrap_err().to_string();
    assert!(
        error.contains("sample small 7 (index 7): small/7.png"),
        "{error}"
    );
    assert_eq!(files(folder.path()), ["small.prepared".to_string()].into());
    assert_same(&PreparedDataset::open(&place).unwrap(), &old);
}

#[test]
fn a_panic_of_the_source_leaves_no_file() {
    struct Haunted;
    impl Dataset for Haunted {
        fn len(&self) -> usize {
            20
        }
        fn get(&self, index: usize) -> Result<Sample> {
            assert_ne!(index, 11, "haunted");
            Small::new(20).get(index)
        }
        fn fingerprint(&self) -> Result<Option<Fingerprint>> {
            Ok(Some(Fingerprint::new("Haunted")))
        }
    }
    let (folder, place) = place();
    std::panic::catch_unwind(|| prepare(&place, &Haunted)).unwrap_err();
    assert!(files(folder.path()).is_empty());
}

/// Every sample of a file, or the first error.
fn read_all(place: &Path) -> Result<Vec<Sample>> {
    let prepared = PreparedDataset::open(place)?;
    (0..prepared.len())
        .map(|index| prepared.get(index))
        .collect()
}

#[test]
fn every_flipped_byte_is_an_error_that_names_the_file() {
    let (_folder, place) = place();
    let source = Small::new(3);
    prepare(&place, &source).unwrap();
    let good = fs::read(&place).unwrap();
    let index_offset = u64::from_le_bytes(good[28..36].try_into().unwrap()) as usize;
    for at in 0..good.len() {
        for flip in [0x01, 0x10, 0x80, 0xFF] {
            let mut bytes = good.clone();
            bytes[at] ^= flip;
            fs::write(&place, bytes).unwrap();
            let error = read_all(&place).unwrap_err().to_string();
            assert!(
                error.starts_with(place.to_str().unwrap()),
                "byte {at}: {error}"
            );
            if (52..index_offset).contains(&at) {
                assert!(error.contains("sample small "), "byte {at}: {error}");
            }
        }
    }
}

#[test]
fn a_file_that_was_cut_off_is_an_error_and_made_again() {
    let (_folder, place) = place();
    let source = Small::new(3);
    prepare(&place, &source).unwrap();
    let good = fs::read(&place).unwrap();
    for len in 0..good.len() {
        fs::write(&place, &good[..len]).unwrap();
        let error = read_all(&place).unwrap_err().to_string();
        assert!(error.contains("it was cut off"), "{len} bytes: {error}");
        assert!(error.starts_with(place.to_str().unwrap()), "{error}");
        prepare(&place, &source).unwrap();
        assert!(fs::read(&place).unwrap() == good, "{len} bytes");
    }
    fs::write(&place, [&good[..], &[0]].concat()).unwrap();
    read_all(&place).unwrap_err();
}

#[test]
fn a_broken_header_or_index_is_made_again() {
    let (_folder, place) = place();
    let source = Small::new(3);
    prepare(&place, &source).unwrap();
    let good = fs::read(&place).unwrap();
    for at in [8, 20, 30, 40, 50, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&place, bytes).unwrap();
        assert_same(&prepare(&place, &source).unwrap(), &source);
        assert!(fs::read(&place).unwrap() == good, "byte {at}");
    }
}

#[test]
fn a_file_that_is_cut_off_while_it_is_read_is_an_error() {
    let (_folder, place) = place();
    let prepared = prepare(&place, &Small::new(3)).unwrap();
    File::options()
        .write(true)
        .open(&place)
        .unwrap()
        .set_len(100)
        .unwrap();
    prepared.get(0).unwrap();
    let error = prepared.get(2).unwrap_err();
    assert!(
        matches!(&error, Error::Io { path, .. } if *path == place),
        "{error}"
    );
    assert!(error.to_string().contains("sample small 2"), "{error}");
}

/// Makes the index' length and the checksums of index and header fit.
fn seal(bytes: &mut [u8]) {
    let index = u64::from_le_bytes(bytes[28..36].try_into().unwrap()) as usize;
    let len = (bytes.len() - index) as u64;
    bytes[36..44].copy_from_slice(&len.to_le_bytes());
    let checksum = crc32fast::hash(&bytes[index..]);
    bytes[44..48].copy_from_slice(&checksum.to_le_bytes());
    let checksum = crc32fast::hash(&bytes[..48]);
    bytes[48..52].copy_from_slice(&checksum.to_le_bytes());
}

/// Somebody who wants harm computes the checksums too.
#[test]
fn numbers_that_lie_are_errors_before_anything_is_allocated() {
    let (_folder, place) = place();
    prepare(&place, &Small::new(3)).unwrap();
    let good = fs::read(&place).unwrap();
    let index = u64::from_le_bytes(good[28..36].try_into().unwrap()) as usize;
    for at in index..good.len() {
        for lie in [
            &[0xFF; 8][..],
            &[0; 8],
            &[0xFF, 0xFF, 0xFF, 0x7F],
            &[0x10],
            &[2],
        ] {
            let mut bytes = good.clone();
            let end = (at + lie.len()).min(good.len());
            bytes[at..end].copy_from_slice(&lie[..end - at]);
            seal(&mut bytes);
            fs::write(&place, bytes).unwrap();
            // Another name or class is no contradiction; what is read must just not be more than there is.
            for sample in read_all(&place).into_iter().flatten() {
                assert!(sample.size().is_ok());
            }
        }
    }
    // The transform's JSON stands first, then the number of samples and the first sample.
    let count = index + 8 + r#"{"steps":[]}"#.len();
    let lies: [(usize, &[u8]); 9] = [
        (index, &u64::MAX.to_le_bytes()),
        (index, &(1_u64 << 40).to_le_bytes()),
        (count, &u64::MAX.to_le_bytes()),
        (count, &2_u64.to_le_bytes()),
        (count, &4_u64.to_le_bytes()),
        (count + 8, &[0xFF; 10]),
        (count + 8, &0_u32.to_le_bytes()),
        (count + 16, &0_u16.to_le_bytes()),
        (count + 22, &u64::MAX.to_le_bytes()),
    ];
    for (at, lie) in lies {
        let mut bytes = good.clone();
        bytes[at..at + lie.len()].copy_from_slice(lie);
        seal(&mut bytes);
        fs::write(&place, bytes).unwrap();
        let error = PreparedDataset::open(&place).unwrap_err().to_string();
        assert!(error.contains("contradicts"), "byte {at}: {error}");
    }
    for (at, number) in [(28, u64::MAX), (36, u64::MAX), (28, 0), (36, 1 << 50)] {
        let mut bytes = good.clone();
        bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..48]);
        bytes[48..52].copy_from_slice(&checksum.to_le_bytes());
        fs::write(&place, bytes).unwrap();
        let error = PreparedDataset::open(&place).unwrap_err().to_string();
        assert!(error.contains("bytes, expected"), "{error}");
    }
}

#[test]
fn samples_without_pixels_or_mask_are_errors() {
    let (_folder, place) = place();
    prepare(&place, &Small::new(1)).unwrap();
    let good = fs::read(&place).unwrap();
    let index = u64::from_le_bytes(good[28..36].try_into().unwrap()) as usize;
    let count = index + 8 + r#"{"steps":[]}"#.len();

    // As many bytes as 3x2 pixels with a mask.
    let mut no_mask = good.clone();
    no_mask[count + 8..count + 18].copy_from_slice(&[4, 0, 0, 0, 2, 0, 0, 0, 0, 0]);
    // A second sample, of 0x2 pixels with a mask.
    let mut no_pixels = good;
    no_pixels[count] = 2;
    no_pixels.extend([0, 0, 0, 0, 2, 0, 0, 0, 1, 0]);
    no_pixels.extend([0; 12]);
    for mut bytes in [no_mask, no_pixels] {
        seal(&mut bytes);
        fs::write(&place, bytes).unwrap();
        let error = PreparedDataset::open(&place).unwrap_err().to_string();
        assert!(error.contains("contradicts"), "{error}");
    }
}

#[test]
fn transforms_of_a_later_release_are_named() {
    let (_folder, place) = place();
    let cfg = PrepareConfig::new(Compose::default().then(Resize::new([4, 4])));
    PreparedDataset::open_or_create(&place, &Small::new(1), &cfg).unwrap();
    let mut bytes = fs::read(&place).unwrap();
    let at = bytes.windows(6).position(|word| word == b"resize").unwrap();
    bytes[at..at + 6].copy_from_slice(b"resist");
    seal(&mut bytes);
    fs::write(&place, bytes).unwrap();
    let error = PreparedDataset::open(&place).unwrap_err().to_string();
    assert!(error.contains("unknown variant `resist`"), "{error}");
}

#[test]
fn a_file_of_a_later_format_says_so() {
    let (_folder, place) = place();
    let source = Small::new(3);
    prepare(&place, &source).unwrap();
    let mut bytes = fs::read(&place).unwrap();
    bytes[8] = 2;
    fs::write(&place, bytes).unwrap();
    let error = PreparedDataset::open(&place).unwrap_err().to_string();
    assert!(
        error.contains("format version 2, this release reads version 1"),
        "{error}"
    );
    assert_same(&prepare(&place, &source).unwrap(), &source);
}

#[test]
fn another_file_is_left_alone() {
    let (folder, place) = place();
    fs::write(&place, "my diploma thesis").unwrap();
    let error = prepare(&place, &Small::new(1)).unwrap_err();
    assert!(matches!(error, Error::NotPrepared { .. }), "{error}");
    assert!(error.to_string().starts_with(place.to_str().unwrap()));
    assert_eq!(fs::read(&place).unwrap(), b"my diploma thesis");
    // A folder, and a file where the folder should be.
    for path in [folder.path().to_path_buf(), place.join("small.prepared")] {
        let error = prepare(&path, &Small::new(1)).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }
    assert!(matches!(
        PreparedDataset::open(folder.path().join("none")),
        Err(Error::Io { .. })
    ));
}

#[test]
fn what_a_killed_process_left_is_harmless_and_removed() {
    let (folder, place) = place();
    let source = Small::new(3);
    prepare(&place, &source).unwrap();
    let whole = fs::read(&place).unwrap();
    fs::remove_file(&place).unwrap();
    let left = folder.path().join(".small.prepared.1-0.preparing");
    let written = folder.path().join(".small.prepared.1-1.preparing");
    let unrelated = folder.path().join("small.prepared.notes");
    for path in [&left, &written, &unrelated] {
        fs::write(path, &whole[..whole.len() / 2]).unwrap();
    }
    // Another process is at this one.
    let busy = File::open(&written).unwrap();
    busy.lock().unwrap();

    assert_same(&prepare(&place, &source).unwrap(), &source);
    let expected = [
        ".small.prepared.1-1.preparing",
        "small.prepared",
        "small.prepared.notes",
    ];
    assert_eq!(files(folder.path()), expected.map(String::from).into());
    assert!(fs::read(&place).unwrap() == whole);
}

#[test]
fn several_may_make_the_same_file_at_once() {
    let (folder, place) = place();
    thread::scope(|scope| {
        for lane in 0..6 {
            let place = &place;
            scope.spawn(move || {
                for round in 0..20 {
                    // Each two make the same, the others something else.
                    let source = Small {
                        version: lane / 2 + 10 * round,
                        ..Small::new(10)
                    };
                    assert_same(&prepare(place, &source).unwrap(), &source);
                }
            });
        }
    });
    assert_eq!(files(folder.path()), ["small.prepared".to_string()].into());
    read_all(&place).unwrap();
}

#[test]
fn a_file_may_be_prepared_in_a_new_folder_and_from_a_cache() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("new/folder/small.prepared");
    let source = Small::new(6);
    let cached = MemoryCache::new(Small::new(6), usize::MAX);
    let prepared = prepare(&place, &cached).unwrap();
    assert_same(&prepared, &source);
    let again = place.with_file_name("again.prepared");
    assert_same(&prepare(&again, &prepared).unwrap(), &source);
    let debug = format!("{prepared:?} {cached:?}");
    assert!(debug.contains("samples: 6") && debug.len() < 500, "{debug}");
}
