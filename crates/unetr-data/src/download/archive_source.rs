use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Where an archive is, how it is recognised and which folder it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveSource {
    /// What its file is called on disk, such as `images.tar.gz`.
    pub file: String,
    /// The one folder in it that is unpacked, such as `images`.
    pub folder: String,
    /// Where to fetch it; the next is tried when one fails.
    pub urls: Vec<String>,
    /// Its size in bytes.
    pub size: u64,
    /// Its MD5 checksum in hexadecimal digits.
    pub md5: String,
}

impl ArchiveSource {
    /// The two archives of the Oxford-IIIT Pet Dataset: photos and annotations.
    pub fn oxford_pets() -> [Self; 2] {
        const MIRRORS: [&str; 2] = [
            "https://thor.robots.ox.ac.uk/datasets/pets/",
            "https://www.robots.ox.ac.uk/~vgg/data/pets/data/",
        ];
        let source = |folder: &str, size, md5: &str| Self {
            file: format!("{folder}.tar.gz"),
            folder: folder.into(),
            urls: MIRRORS
                .map(|mirror| format!("{mirror}{folder}.tar.gz"))
                .to_vec(),
            size,
            md5: md5.into(),
        };
        [
            source("images", 791_918_971, "5c4f3ee8e5d25df40f4fd59a7f44e54c"),
            source(
                "annotations",
                19_173_078,
                "95a8c909bbe2e81eed6a22bccdf3f68f",
            ),
        ]
    }

    /// Checks that the file and the folder are plain names, so that nothing is written elsewhere.
    pub(super) fn validate(&self) -> Result<()> {
        for name in [&self.file, &self.folder] {
            if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', ':']) {
                return Err(Error::Archive {
                    path: name.into(),
                    problem: "not a plain file or folder name".into(),
                });
            }
        }
        Ok(())
    }
}
