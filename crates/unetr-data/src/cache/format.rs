//! The layout of a file of prepared samples, version 1. Numbers are little endian.
//!
//! | part | content |
//! | --- | --- |
//! | header | magic (8 bytes), version (`u32`), fingerprint (16 bytes), place and length of the index (2 `u64`), checksums of the index and of the header up to here (2 `u32`) |
//! | samples | one after the other: RGB pixels, then each mask; nothing between |
//! | index | length of the transform's JSON (`u64`), the JSON, number of samples (`u64`), and for each sample: height, width (2 `u32`), masks (`u16`), checksum (`u32`), length of the name (`u64`), the name |
//!
//! A sample's place follows from the sizes of those before it, so that there can be neither gap nor
//! overlap. The index ends where the file does, which shows that a file is whole. Checksums are CRC-32
//! (ISO 3309), which finds every burst of up to 32 wrong bits.

use crate::{Compose, Error, Fingerprint, Result};

pub(super) const MAGIC: [u8; 8] = *b"\x89unetr\r\n";
const VERSION: u32 = 1;

/// What a file begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) fingerprint: Fingerprint,
    pub(super) index_offset: u64,
    pub(super) index_len: u64,
    pub(super) index_checksum: u32,
}

/// What the samples of a file are.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) transform: Compose,
    pub(super) entries: Vec<Entry>,
}

/// What one sample is, and where.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) height: u32,
    pub(super) width: u32,
    pub(super) masks: u16,
    pub(super) checksum: u32,
    pub(super) offset: u64,
}

impl Header {
    pub(super) const LEN: usize = 52;

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.fingerprint.to_le_bytes());
        bytes.extend(self.index_offset.to_le_bytes());
        bytes.extend(self.index_len.to_le_bytes());
        bytes.extend(self.index_checksum.to_le_bytes());
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// Reads the header of a file of `file_len` bytes that begins with [`MAGIC`]; says what is wrong.
    pub(super) fn decode(bytes: &[u8], file_len: u64) -> Result<Self, String> {
        let cut_off = || format!("it has only {file_len} bytes: it was cut off");
        let mut fields = Fields(bytes.get(MAGIC.len()..).ok_or_else(cut_off)?);
        let version = fields.u32().ok_or_else(cut_off)?;
        if version != VERSION {
            return Err(format!(
                "it has format version {version}, this release reads version {VERSION}"
            ));
        }
        let (header, checksum) = Self::fields(&mut fields).ok_or_else(cut_off)?;
        let found = crc32fast::hash(&bytes[..Self::LEN - size_of::<u32>()]);
        if found != checksum {
            return Err(format!("its header has {}", unequal(found, checksum)));
        }
        let expected = header.index_offset.checked_add(header.index_len);
        if expected != Some(file_len) {
            return Err(format!(
                "it has {file_len} bytes, expected {} of samples and {} of index: it was cut off or written to",
                header.index_offset, header.index_len
            ));
        }
        Ok(header)
    }

    fn fields(fields: &mut Fields<'_>) -> Option<(Self, u32)> {
        let header = Self {
            fingerprint: Fingerprint::from_le_bytes(fields.array()?),
            index_offset: fields.u64()?,
            index_len: fields.u64()?,
            index_checksum: fields.u32()?,
        };
        Some((header, fields.u32()?))
    }
}

impl Index {
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let transform = serde_json::to_vec(&self.transform).map_err(Error::SettingsJson)?;
        let mut bytes = Vec::new();
        bytes.extend((transform.len() as u64).to_le_bytes());
        bytes.extend(transform);
        bytes.extend((self.entries.len() as u64).to_le_bytes());
        for entry in &self.entries {
            bytes.extend(entry.height.to_le_bytes());
            bytes.extend(entry.width.to_le_bytes());
            bytes.extend(entry.masks.to_le_bytes());
            bytes.extend(entry.checksum.to_le_bytes());
            bytes.extend((entry.name.len() as u64).to_le_bytes());
            bytes.extend(entry.name.as_bytes());
        }
        Ok(bytes)
    }

    /// Reads the index of a file with this header; says what is wrong.
    pub(super) fn decode(bytes: &[u8], header: &Header) -> Result<Self, String> {
        let found = crc32fast::hash(bytes);
        if found != header.index_checksum {
            return Err(format!(
                "its index has {}",
                unequal(found, header.index_checksum)
            ));
        }
        let impossible = || String::from("its index contradicts itself or the file's length");
        let mut fields = Fields(bytes);
        let transform = fields.text().ok_or_else(impossible)?;
        let transform = serde_json::from_slice(transform)
            .map_err(|error| format!("its transforms are none of this release: {error}"))?;
        let entries = Self::entries(&mut fields, header.index_offset).ok_or_else(impossible)?;
        Ok(Self { transform, entries })
    }

    /// The samples, which fill the file up to `end`.
    fn entries(fields: &mut Fields<'_>, end: u64) -> Option<Vec<Entry>> {
        // The number is not trusted with an allocation: the vector grows with what is really there.
        let count = fields.u64()?;
        let mut entries = Vec::new();
        let mut offset = Header::LEN as u64;
        for _ in 0..count {
            let entry = Entry {
                height: fields.u32()?,
                width: fields.u32()?,
                masks: fields.array().map(u16::from_le_bytes)?,
                checksum: fields.u32()?,
                name: String::from_utf8(fields.text()?.to_vec()).ok()?,
                offset,
            };
            offset = entry.end().filter(|&entry_end| entry_end <= end)?;
            entries.push(entry);
        }
        (offset == end && fields.0.is_empty()).then_some(entries)
    }
}

impl Entry {
    /// Bytes of a mask, a third of those of the photo.
    pub(super) fn pixels(&self) -> u64 {
        // The product of two numbers of 32 bits fits into 64.
        u64::from(self.height) * u64::from(self.width)
    }

    /// Where the next sample begins; none for a sample without pixels or mask, or of an impossible size.
    pub(super) fn end(&self) -> Option<u64> {
        let planes = 3 + u64::from(self.masks);
        let bytes = self.pixels().checked_mul(planes)?;
        let is_sample = bytes > 0 && self.masks > 0;
        self.offset.checked_add(bytes).filter(|_| is_sample)
    }
}

/// Two checksums that should be the same, in words.
pub(super) fn unequal(found: u32, expected: u32) -> String {
    format!("checksum {found:08x}, expected {expected:08x}: its bytes have changed")
}

/// What is left of some bytes. Every read of more than that is none.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// As many bytes as a number before them says.
    fn text(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.u64()?).ok()?;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(text)
    }
}
