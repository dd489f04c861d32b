//! The framing of TFRecord: the length as u64, its checksum, the data, their checksum, all little-endian.

use std::io::{self, Write};

pub(super) fn write(file: &mut impl Write, data: &[u8]) -> io::Result<()> {
    let length = (data.len() as u64).to_le_bytes();
    file.write_all(&length)?;
    file.write_all(&checksum(&length).to_le_bytes())?;
    file.write_all(data)?;
    file.write_all(&checksum(data).to_le_bytes())
}

/// CRC-32C, turned and moved so that the checksum of data with checksums in them is not theirs
/// (`masked_crc32c` of <https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/lib/hash/crc32c.h>).
fn checksum(data: &[u8]) -> u32 {
    crc32c::crc32c(data)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}
