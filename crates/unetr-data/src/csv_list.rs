use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::mask_coding::MaskReader;
use crate::{Classes, Dataset, Error, ExifOrientation, Fingerprint, MaskCoding, Result, Sample};

/// How a [`CsvDataset`] is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvConfig {
    /// The classes.
    pub classes: Classes,
    /// How the mask files tell the classes; by their numbers by default.
    #[serde(default)]
    pub masks: MaskCoding,
    /// The column with the photos' paths; `image` by default.
    #[serde(default = "image_column")]
    pub image_column: String,
    /// The column with the masks' paths; `mask` by default.
    #[serde(default = "mask_column")]
    pub mask_column: String,
    /// The folder to which paths are relative; the CSV file's by default.
    #[serde(default)]
    pub root: Option<PathBuf>,
    /// What to do with a photo's EXIF orientation; applied by default.
    #[serde(default)]
    pub orientation: ExifOrientation,
}

fn image_column() -> String {
    "image".into()
}

fn mask_column() -> String {
    "mask".into()
}

impl CsvConfig {
    /// Masks of the classes' numbers, in the columns `image` and `mask`, beside the CSV file.
    pub fn new(classes: Classes) -> Self {
        Self {
            classes,
            masks: MaskCoding::default(),
            image_column: image_column(),
            mask_column: mask_column(),
            root: None,
            orientation: ExifOrientation::default(),
        }
    }
}

/// Photos and masks that a CSV file lists, one pair a line under a header.
///
/// Values are separated by commas, may be quoted, and lose blanks at their ends; further columns and
/// empty lines are passed over. The samples are in the file's order and are called as their photos,
/// without folder and extension.
///
/// # Examples
/// ```no_run
/// use unetr_data::{Classes, CsvConfig, CsvDataset, Dataset};
///
/// // image,mask
/// // photos/1.jpg,masks/1.png
/// let cfg = CsvConfig::new(Classes::named(["background", "road"])?);
/// let roads = CsvDataset::open("roads/train.csv", &cfg)?;
/// println!("{} samples", roads.len());
/// # Ok::<(), unetr_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct CsvDataset {
    rows: Vec<Row>,
    cfg: CsvConfig,
    masks: MaskReader,
}

#[derive(Debug, Clone)]
struct Row {
    name: String,
    image: PathBuf,
    mask: PathBuf,
}

impl CsvDataset {
    /// Reads the list and looks whether its files are there; they are not opened yet.
    ///
    /// # Errors
    /// When the list can't be read, has not the two columns, no line, a broken line or one that names
    /// no file, and when the masks' coding does not suit the classes.
    pub fn open(list: impl AsRef<Path>, cfg: &CsvConfig) -> Result<Self> {
        let list = list.as_ref();
        let masks = MaskReader::new(&cfg.masks, &cfg.classes)?;
        let beside = list.parent().unwrap_or(Path::new(""));
        let root = cfg.root.as_deref().unwrap_or(beside);
        let table = Table {
            list,
            bytes: fs::read(list).map_err(Error::io(list))?,
        };
        Ok(Self {
            rows: table.rows(root, [&cfg.image_column, &cfg.mask_column])?,
            cfg: cfg.clone(),
            masks,
        })
    }

    /// The classes.
    pub fn classes(&self) -> &Classes {
        &self.cfg.classes
    }
}

impl Dataset for CsvDataset {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn get(&self, index: usize) -> Result<Sample> {
        let len = self.rows.len();
        let row = self.rows.get(index).ok_or(Error::Index { index, len })?;
        self.masks
            .read(&row.name, &row.image, &row.mask, self.cfg.orientation)
    }

    fn name(&self, index: usize) -> String {
        self.rows
            .get(index)
            .map_or_else(|| format!("sample {index}"), |row| row.name.clone())
    }

    fn fingerprint(&self) -> Result<Option<Fingerprint>> {
        let CsvConfig {
            classes,
            masks,
            orientation,
            ..
        } = &self.cfg;
        let list = Fingerprint::new("CsvDataset").settings(&(classes, masks, orientation))?;
        // Also which mask is whose, where folders alone tell files apart.
        let list = self
            .rows
            .iter()
            .fold(list, |list, row| list.text(&row.name));
        let mut files = self.rows.iter().flat_map(|row| [&row.image, &row.mask]);
        files.try_fold(list, Fingerprint::file).map(Some)
    }
}

/// A CSV file's content.
struct Table<'a> {
    list: &'a Path,
    bytes: Vec<u8>,
}

impl Table<'_> {
    fn rows(&self, root: &Path, columns: [&String; 2]) -> Result<Vec<Row>> {
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(&self.bytes[..]);
        let header = reader.headers().map_err(|e| self.broken(&e))?.clone();
        let mut places = [0; 2];
        for (place, name) in places.iter_mut().zip(columns) {
            let Some(found) = header.iter().position(|column| column == name) else {
                let columns: Vec<_> = header.iter().collect();
                let problem = format!(
                    "there is no column `{name}` but {columns:?}; \
                     expected commas between the names, or other names in the configuration"
                );
                return Err(self.problem(0, problem));
            };
            *place = found;
        }
        let (mut rows, mut names) = (Vec::new(), Vec::new());
        for record in reader.records() {
            let record = record.map_err(|e| self.broken(&e))?;
            let start = record.position().map_or(0, csv::Position::byte);
            let [image, mask] = places.map(|place| record.get(place).unwrap_or_default());
            for (column, file) in columns.into_iter().zip([image, mask]) {
                if file.is_empty() {
                    return Err(
                        self.problem(start, format!("`{column}` is empty; expected a file"))
                    );
                }
                if !root.join(file).is_file() {
                    let file = root.join(file);
                    let problem = format!(
                        "there is no file {}; restore it or remove the line",
                        file.display()
                    );
                    return Err(self.problem(start, problem));
                }
            }
            let name = Path::new(image).file_stem().unwrap_or_default();
            let listed = Path::new(image).with_extension("");
            names.push(listed.to_string_lossy().into_owned());
            rows.push(Row {
                name: name.to_string_lossy().into_owned(),
                image: root.join(image),
                mask: root.join(mask),
            });
        }
        if rows.is_empty() {
            return Err(self.problem(
                0,
                "no sample comes after the header; expected at least one".into(),
            ));
        }
        let mut known = HashSet::new();
        if !rows.iter().all(|row| known.insert(row.name.clone())) {
            // Folders tell samples apart.
            for (row, name) in rows.iter_mut().zip(names) {
                row.name = name;
            }
        }
        Ok(rows)
    }

    /// An error about the line that begins at a byte, or after empty lines there.
    fn problem(&self, start: u64, problem: String) -> Error {
        let rest = self.bytes.get(start as usize..).unwrap_or_default();
        let ends = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
        let empty = rest
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        Error::Line {
            path: self.list.into(),
            line: 1 + ends(&self.bytes) - ends(&rest[empty..]),
            problem,
        }
    }

    fn broken(&self, error: &csv::Error) -> Error {
        let problem = match error.kind() {
            csv::ErrorKind::UnequalLengths {
                expected_len, len, ..
            } => {
                format!("there are {len} values; expected {expected_len}, as in the header")
            }
            csv::ErrorKind::Utf8 { .. } => "it is not UTF-8; save the list as UTF-8".into(),
            _ => error.to_string(),
        };
        self.problem(error.position().map_or(0, csv::Position::byte), problem)
    }
}
