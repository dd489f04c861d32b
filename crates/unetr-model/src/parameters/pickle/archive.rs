use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use zip::{CompressionMethod, ZipArchive};

use super::Result;

/// How many times its length may be read of a file: the directory, and the storages for more than one key.
const READS: u64 = 4;

/// What may be read besides, where a file is short.
const SLACK: u64 = 1 << 20;

/// The zip file of a checkpoint.
pub(super) struct Archive {
    zip: ZipArchive<Limited>,
    length: u64,
    /// What the names of all entries begin with, up to the slash.
    folder: String,
}

impl Archive {
    pub(super) fn open(file: File) -> Result<Self> {
        let length = file.metadata().map_err(|error| error.to_string())?.len();
        let mut start = Vec::new();
        let read = (&file).take(2).read_to_end(&mut start);
        read.map_err(|error| error.to_string())?;
        match *start {
            [b'P', b'K'] => {}
            [0x80, ..] => {
                let reason = "no zip file but a pickle alone, as PyTorch wrote before version 1.6";
                return Err(reason.to_owned());
            }
            _ => return Err("no zip file".to_owned()),
        }
        let left = length.saturating_mul(READS).saturating_add(SLACK);
        let zip = ZipArchive::new(Limited { file, left });
        let zip = zip.map_err(|error| format!("no zip file that can be read: {error}"))?;
        let folders: Vec<&str> = zip
            .file_names()
            .filter_map(|name| name.strip_suffix("data.pkl"))
            .filter(|folder| folder.is_empty() || folder.ends_with('/'))
            .collect();
        let [folder] = *folders else {
            let found = folders.len();
            return Err(format!(
                "{found} entries data.pkl in the zip file, expected one"
            ));
        };
        let folder = folder.to_owned();
        Ok(Self {
            zip,
            length,
            folder,
        })
    }

    /// The bytes of the whole file.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.index(name).is_some()
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.zip.index_for_name(&format!("{}{name}", self.folder))
    }

    /// The bytes of an entry, `most` at most.
    pub(super) fn read(&mut self, name: &str, most: u64) -> Result<Vec<u8>> {
        let failed = |error: &dyn std::fmt::Display| format!("{name} cannot be read: {error}");
        let index = self.index(name);
        let index = index.ok_or_else(|| format!("{name} is missing in the zip file"))?;
        // Raw, without the checksum: `torch.load` does not compare it, and `torch.save` can leave it out.
        let entry = self.zip.by_index_raw(index);
        let mut entry = entry.map_err(|error| failed(&error))?;
        let size = entry.size();
        let is_stored = entry.compression() == CompressionMethod::Stored && !entry.encrypted();
        if !is_stored || entry.compressed_size() != size {
            let expected = "expected the bytes as they are, as `torch.save` writes them";
            return Err(format!("{name} is compressed or encrypted, {expected}"));
        }
        if size > most {
            return Err(format!(
                "{name} holds {size} bytes, expected {most} at most"
            ));
        }
        let end = entry.data_start().and_then(|start| start.checked_add(size));
        if end.is_none_or(|end| end > self.length) {
            return Err(format!(
                "{name} of {size} bytes goes beyond the end of the file"
            ));
        }
        let mut bytes = Vec::new();
        let reserved = usize::try_from(size).map(|size| bytes.try_reserve_exact(size));
        if !matches!(reserved, Ok(Ok(()))) {
            return Err(format!("no memory for the {size} bytes of {name}"));
        }
        let read = entry.read_to_end(&mut bytes);
        read.map_err(|error| failed(&error))?;
        Ok(bytes)
    }
}

/// A file of which no more than so many bytes are read.
///
/// A directory can be looked for from every place that looks like its end, and many entries can be the same bytes.
struct Limited {
    file: File,
    left: u64,
}

impl Read for Limited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        let left = u64::try_from(count).ok();
        let left = left.and_then(|count| self.left.checked_sub(count));
        self.left = left.ok_or_else(|| {
            io::Error::other("its entries overlap, or several directories are begun")
        })?;
        Ok(count)
    }
}

impl Seek for Limited {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}
