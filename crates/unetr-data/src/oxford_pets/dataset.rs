use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::{CORRUPT_PETS, OxfordPetsConfig};
use crate::class_map::{ClassMap, ClassTable};
use crate::dataset::name_of;
use crate::files::{file_names, read_pair, unpaired};
use crate::{Classes, Dataset, Error, Fingerprint, Result, Sample, Split};

const LAYOUT: &str = "images/NAME.jpg and annotations/trimaps/NAME.png;\n\
    get them with `unetr_data::download_oxford_pets`, or unpack images.tar.gz and annotations.tar.gz \
    from https://www.robots.ox.ac.uk/~vgg/data/pets/ there";

/// The Oxford-IIIT Pet Dataset in a folder of the official layout, or a part of it.
///
/// The samples are in the order of Python's `sorted(Path("images").glob("*.jpg"))`. Their masks
/// hold 0 for pet, 1 for background and 2 for the boundary; the files' 1, 2 and 3.
///
/// # Examples
/// ```no_run
/// use unetr_data::{Dataset, OxfordPets};
///
/// let pets = OxfordPets::open("data/oxford_pets")?;
/// let sample = pets.get(0)?;
/// println!("{} of {}: {:?}", sample.name, pets.len(), sample.mask.dimensions());
/// # Ok::<(), unetr_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct OxfordPets {
    root: PathBuf,
    cfg: OxfordPetsConfig,
    names: Vec<String>,
    /// The photos that are there but left out.
    excluded: Vec<String>,
    classes: ClassTable,
}

impl OxfordPets {
    /// How many classes a mask has.
    pub const NUM_CLASSES: usize = 3;
    /// What the classes are called.
    pub const CLASS_NAMES: [&'static str; Self::NUM_CLASSES] = ["pet", "background", "boundary"];
    /// A colour for every class, RGB.
    pub const PALETTE: [[u8; 3]; Self::NUM_CLASSES] =
        [[230, 126, 34], [44, 62, 80], [236, 240, 241]];

    /// [`CLASS_NAMES`](Self::CLASS_NAMES) in their [`PALETTE`](Self::PALETTE).
    pub fn classes() -> Classes {
        Classes::new(Self::CLASS_NAMES.into_iter().zip(Self::PALETTE))
            .expect("the three names differ")
    }

    /// Opens the data set in the folder `root`, less the [`CORRUPT_PETS`].
    ///
    /// # Errors
    /// When the folder isn't laid out as the official archives or a photo has no mask. The files
    /// themselves are not opened yet.
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(root, &OxfordPetsConfig::default())
    }

    /// Opens the data set in the folder `root` as `cfg` says.
    ///
    /// # Errors
    /// As [`OxfordPets::open`].
    pub fn open_with(root: impl AsRef<Path>, cfg: &OxfordPetsConfig) -> Result<Self> {
        let root = root.as_ref();
        let (images, masks) = (root.join("images"), root.join("annotations/trimaps"));
        if let Some(missing) = [&images, &masks]
            .into_iter()
            .find(|folder| !folder.is_dir())
        {
            return Err(layout(
                root,
                format!("there is no folder {}", missing.display()),
            ));
        }
        let files = file_names(&images, &["jpg"])?;
        let (excluded, names): (Vec<_>, Vec<_>) = files
            .iter()
            .filter_map(|file| file.strip_suffix(".jpg"))
            .map(String::from)
            .partition(|name| cfg.exclude.contains(name));
        if names.is_empty() {
            return Err(layout(root, "there is no photo in images/".into()));
        }
        let masked = file_names(&masks, &["png"])?;
        let masked: BTreeSet<_> = masked
            .iter()
            .filter_map(|file| file.strip_suffix(".png"))
            .collect();
        let lonely: Vec<_> = names
            .iter()
            .map(String::as_str)
            .filter(|name| !masked.contains(name))
            .collect();
        if !lonely.is_empty() {
            let advice = "add their masks NAME.png or exclude them by name";
            return Err(unpaired(&masks, "photo(s)", &lonely, advice));
        }
        Ok(Self {
            root: root.into(),
            cfg: cfg.clone(),
            names,
            excluded,
            classes: ClassTable::new(&ClassMap::new([(1, 0), (2, 1), (3, 2)]))?,
        })
    }

    /// The samples' names in order, such as `Abyssinian_1`.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The official split: `annotations/trainval.txt` to train, `annotations/test.txt` to
    /// validate, each in its list's order. Photos on neither list are in neither part.
    ///
    /// # Errors
    /// When a list can't be read, or has a name which is neither among the photos nor excluded.
    pub fn official_split(&self) -> Result<Split> {
        let index: HashMap<_, _> = self
            .names
            .iter()
            .zip(0..)
            .map(|(n, i)| (n.as_str(), i))
            .collect();
        Ok(Split {
            train: self.listed("trainval.txt", &index)?,
            val: self.listed("test.txt", &index)?,
        })
    }

    /// The split of the tutorial "UNETR for Oxford Pets in Flax NNX": see [`Split::tutorial`].
    ///
    /// On the official archives it is exactly the tutorial's 5,173 and 2,215, whether or not the
    /// [`CORRUPT_PETS`] are excluded from the data set; they are in neither part.
    pub fn tutorial_split(&self) -> Split {
        // The tutorial numbers the photos with the corrupt ones in their places.
        let mut found: Vec<_> = self.names.iter().zip((0..).map(Some)).collect();
        found.extend(self.excluded.iter().map(|name| (name, None)));
        found.sort_unstable_by_key(|(name, _)| format!("{name}.jpg"));
        let corrupt: Vec<_> = (0..found.len())
            .filter(|&i| found[i].1.is_none() || CORRUPT_PETS.contains(&found[i].0.as_str()))
            .collect();
        let split = Split::tutorial(found.len(), &corrupt);
        let renumber = |part: Vec<usize>| part.into_iter().filter_map(|i| found[i].1).collect();
        Split {
            train: renumber(split.train),
            val: renumber(split.val),
        }
    }

    /// The photo and the mask of a sample.
    fn files(&self, name: &str) -> [PathBuf; 2] {
        let image = format!("images/{name}.jpg");
        let mask = format!("annotations/trimaps/{name}.png");
        [self.root.join(image), self.root.join(mask)]
    }

    fn listed(&self, file: &str, index: &HashMap<&str, usize>) -> Result<Vec<usize>> {
        let list = self.root.join("annotations").join(file);
        let text = fs::read_to_string(&list).map_err(Error::io(&list))?;
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_whitespace().next())
            .filter(|name| !self.cfg.exclude.iter().any(|excluded| excluded == name))
            .map(|name| match index.get(name) {
                Some(&index) => Ok(index),
                None => Err(Error::Listed {
                    list: list.clone(),
                    name: name.into(),
                }),
            })
            .collect()
    }
}

impl Dataset for OxfordPets {
    fn len(&self) -> usize {
        self.names.len()
    }

    fn get(&self, index: usize) -> Result<Sample> {
        let len = self.names.len();
        let name = self.names.get(index).ok_or(Error::Index { index, len })?;
        let [image, mask] = self.files(name);
        read_pair(name, &image, &mask, self.cfg.orientation, &self.classes)
    }

    fn name(&self, index: usize) -> String {
        name_of(&self.names, index)
    }

    fn fingerprint(&self) -> Result<Option<Fingerprint>> {
        let pets = Fingerprint::new("OxfordPets").settings(&self.cfg.orientation)?;
        let mut files = self.names.iter().flat_map(|name| self.files(name));
        files.try_fold(pets, Fingerprint::file).map(Some)
    }
}

fn layout(root: &Path, found: String) -> Error {
    Error::Layout {
        path: root.into(),
        found,
        expected: LAYOUT.into(),
    }
}
