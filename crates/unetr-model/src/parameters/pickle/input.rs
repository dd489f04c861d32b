use super::Result;

/// What is still to be read of a pickle.
pub(super) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(super) fn new(pickle: &'a [u8]) -> Self {
        Self { rest: pickle }
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let parts = self.rest.split_at_checked(count);
        let (taken, rest) = parts.ok_or_else(ends)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(ends)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A length of one byte.
    pub(super) fn short(&mut self) -> Result<usize> {
        Ok(u8::from_le_bytes(self.array()?).into())
    }

    /// A length of four bytes.
    pub(super) fn long(&mut self) -> Result<usize> {
        let length = u32::from_le_bytes(self.array()?);
        usize::try_from(length).map_err(|_| ends())
    }

    /// The text up to the end of the line; empty if it is none, as no name is that is known here.
    pub(super) fn line(&mut self) -> Result<&'a str> {
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let line = self.take(end.ok_or_else(ends)?)?;
        self.take(1)?;
        Ok(std::str::from_utf8(line).unwrap_or_default())
    }
}

fn ends() -> String {
    "the pickle ends before its last opcode".to_owned()
}
