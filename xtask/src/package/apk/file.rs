//! A file of apk's: blocks, of which the first is an ADB, signatures and files' contents follow; all of it deflated.

use crate::Result;
use crate::package::ipk;

/// What the ADB describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    Package,
    Index,
}

/// The blocks, by their type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    pub adb: Vec<u8>,
    pub signatures: Vec<Vec<u8>>,
    /// Each begins with the numbers, from 1, of its folder and of the file in that.
    pub data: Vec<Vec<u8>>,
}

/// A file that is not compressed, and one that is by deflate.
const PLAIN: &[u8; 4] = b"ADB.";
const DEFLATED: &[u8; 4] = b"ADBd";
/// Blocks begin at multiples of it.
const ALIGN: usize = 8;
/// A block's type is above its length.
const TYPE: u32 = 30;

impl Schema {
    /// The four bytes that name it.
    pub fn name(self) -> &'static [u8; 4] {
        match self {
            Schema::Package => b"pckg",
            Schema::Index => b"indx",
        }
    }
}

impl Blocks {
    /// The file.
    ///
    /// # Errors
    /// Compression; a block of a gibibyte or more, which has another header.
    pub fn build(&self, schema: Schema) -> Result<Vec<u8>> {
        let mut plain = [PLAIN.as_slice(), schema.name()].concat();
        let signatures = self.signatures.iter().map(|block| (1, block));
        for (kind, payload) in
            [(0, &self.adb)].into_iter().chain(signatures).chain(self.data.iter().map(|block| (2, block)))
        {
            let length = u32::try_from(payload.len() + 4).ok().filter(|length| length >> TYPE == 0);
            let length = length.ok_or("a file of a gibibyte or more")?;
            plain.extend((kind << TYPE | length).to_le_bytes());
            plain.extend(payload);
            plain.resize((plain.len() - 8).next_multiple_of(ALIGN) + 8, 0);
        }
        let mut file = DEFLATED.to_vec();
        file.extend(ipk::zip(&plain, zopfli::Format::Deflate)?);
        Ok(file)
    }
}

#[cfg(test)]
impl Blocks {
    /// Reads a file, for comparisons.
    pub fn read(file: &[u8], schema: Schema) -> Result<Blocks> {
        use std::io::Read as _;

        let (magic, rest) = file.split_at(4);
        let mut plain = Vec::new();
        match magic {
            magic if magic == PLAIN => plain = file.to_vec(),
            magic if magic == DEFLATED => {
                flate2::read::DeflateDecoder::new(rest).read_to_end(&mut plain).map_err(|e| e.to_string())?;
            }
            magic => return Err(format!("'{}' is no beginning", magic.escape_ascii())),
        }
        let mut rest = plain
            .strip_prefix([PLAIN.as_slice(), schema.name()].concat().as_slice())
            .ok_or("another schema")?;
        let mut blocks = Blocks::default();
        while let Some((head, _)) = rest.split_first_chunk::<4>() {
            let word = u32::from_le_bytes(*head);
            let length = (word & !(3 << TYPE)) as usize;
            let payload = rest.get(4..length).ok_or("a block beyond the end")?.to_vec();
            match word >> TYPE {
                0 => blocks.adb = payload,
                1 => blocks.signatures.push(payload),
                2 => blocks.data.push(payload),
                kind => return Err(format!("a block of type {kind}")),
            }
            rest = rest.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
        }
        Ok(blocks)
    }
}
