//! The release binary's ELF header: is it static, and for the right CPU? And a smaller file, by cutting
//! what nobody loads.
//!
//! Sources: elf(5); the MIPS O32 ABI's flags structure (include/uapi/asm/elf.h of Linux, `mips_elf_abiflags_v0`);
//! ELF for the Arm architecture, 5.1.1 (`e_flags`).

use crate::Result;
use crate::targets::{Endian, Float, Machine, Target};

const PT_LOAD: u64 = 1;
const PT_INTERP: u64 = 3;
const PT_MIPS_ABIFLAGS: u64 = 0x7000_0003;

/// Where `fp_abi` stands in the MIPS flags structure, and its value for soft float.
const MIPS_FP_ABI: usize = 7;
const MIPS_FP_ABI_SOFT: u64 = 3;

const EF_ARM_ABI_FLOAT_HARD: u64 = 0x400;

/// An ELF file, read field by field.
struct Elf<'a> {
    bytes: &'a [u8],
    is_64_bit: bool,
    endian: Endian,
}

/// One program header: what the kernel maps, or a note to it.
struct Segment {
    kind: u64,
    offset: usize,
    size: usize,
}

/// Checks that `bytes` is a static executable for `target`.
pub fn check(bytes: &[u8], target: &Target) -> Result<()> {
    let elf = Elf::new(bytes)?;
    let bits = if elf.is_64_bit { 64 } else { 32 };
    let machine = elf.machine()?;
    if (machine, bits, elf.endian) != (target.elf.machine as u64, target.elf.bits, target.elf.endian) {
        return Err(format!("wrong CPU: machine {machine}, {bits} bits, {:?} endian", elf.endian));
    }
    let segments = elf.segments()?;
    if segments.iter().any(|s| s.kind == PT_INTERP) {
        return Err("not static: it asks for a dynamic linker".to_string());
    }
    match elf.float(target.elf.machine, &segments)? {
        Some(float) if float != target.float => Err(format!("wrong float ABI: {float:?}")),
        _ => Ok(()),
    }
}

/// The same program without what lies behind its last loaded byte: the section headers, which the kernel
/// does not read, and on MIPS `.pdr`, a sixth of the file that no strip option of the linker drops.
/// OpenWrt does this to every program (`sstrip`).
pub fn cut(mut bytes: Vec<u8>) -> Result<Vec<u8>> {
    let elf = Elf::new(&bytes)?;
    let loaded = elf.segments()?.iter().filter(|s| s.kind == PT_LOAD).map(|s| s.offset + s.size).max();
    let loaded = loaded.filter(|end| *end <= bytes.len()).ok_or("no loaded segment, or a cut file")?;
    // e_shoff, then e_shnum and e_shstrndx at the header's end (e_shentsize before them may stay).
    let (shoff, counts) = if elf.is_64_bit { (0x28..0x30, 0x3c..0x40) } else { (0x20..0x24, 0x30..0x34) };
    for range in [shoff, counts] {
        bytes.get_mut(range).ok_or("too short")?.fill(0);
    }
    bytes.truncate(loaded);
    Ok(bytes)
}

impl<'a> Elf<'a> {
    fn new(bytes: &'a [u8]) -> Result<Elf<'a>> {
        let (is_64_bit, endian) = match bytes {
            [0x7f, b'E', b'L', b'F', class @ (1 | 2), order @ (1 | 2), ..] => {
                (*class == 2, if *order == 1 { Endian::Little } else { Endian::Big })
            }
            _ => return Err("not an ELF file".to_string()),
        };
        Ok(Elf { bytes, is_64_bit, endian })
    }

    /// The unsigned number of `size` bytes at `offset`.
    fn number(&self, offset: usize, size: usize) -> Result<u64> {
        let field =
            offset.checked_add(size).and_then(|end| self.bytes.get(offset..end)).ok_or("too short")?;
        let push = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Ok(match self.endian {
            Endian::Little => field.iter().rev().fold(0, push),
            Endian::Big => field.iter().fold(0, push),
        })
    }

    /// A number that is an offset or a size: as wide as the file's addresses.
    fn offset(&self, at: usize) -> Result<usize> {
        let number = self.number(at, if self.is_64_bit { 8 } else { 4 })?;
        usize::try_from(number).map_err(|_| format!("offset {number} is too large"))
    }

    fn machine(&self) -> Result<u64> {
        self.number(0x12, 2)
    }

    fn flags(&self) -> Result<u64> {
        self.number(if self.is_64_bit { 0x30 } else { 0x24 }, 4)
    }

    fn segments(&self) -> Result<Vec<Segment>> {
        let (phoff, sizes) = if self.is_64_bit { (0x20, 0x36) } else { (0x1c, 0x2a) };
        let (table, entry, count) = (self.offset(phoff)?, self.number(sizes, 2)?, self.number(sizes + 2, 2)?);
        let (offset, size) = if self.is_64_bit { (0x08, 0x20) } else { (0x04, 0x10) };
        (0..count)
            .map(|n| {
                let at =
                    usize::try_from(n * entry).ok().and_then(|n| table.checked_add(n)).ok_or("too large")?;
                Ok(Segment {
                    kind: self.number(at, 4)?,
                    offset: self.offset(at + offset)?,
                    size: self.offset(at + size)?,
                })
            })
            .collect()
    }

    /// The float ABI, where the header of this machine tells it.
    fn float(&self, machine: Machine, segments: &[Segment]) -> Result<Option<Float>> {
        let is_hard = match machine {
            Machine::Mips => {
                let Some(flags) = segments.iter().find(|s| s.kind == PT_MIPS_ABIFLAGS) else {
                    return Ok(None);
                };
                self.number(flags.offset + MIPS_FP_ABI, 1)? != MIPS_FP_ABI_SOFT
            }
            Machine::Arm => self.flags()? & EF_ARM_ABI_FLOAT_HARD != 0,
            _ => return Ok(None),
        };
        Ok(Some(if is_hard { Float::Hard } else { Float::Soft }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets;
    use std::path::Path;

    fn target(arch: &str) -> Target {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        targets::all(root).unwrap().into_iter().find(|t| t.arch == arch).unwrap()
    }

    /// A big-endian 32-bit file: header, a segment of `kind`, the MIPS flags, one byte of rubbish behind.
    fn mips(kind: u32, fp_abi: u8) -> Vec<u8> {
        let mut file = vec![0x7f, b'E', b'L', b'F', 1, 2, 1];
        file.resize(0x34, 0);
        file[0x12..0x14].copy_from_slice(&8u16.to_be_bytes());
        file[0x1c..0x20].copy_from_slice(&0x34u32.to_be_bytes());
        file[0x20..0x24].copy_from_slice(&0x1234u32.to_be_bytes()); // section headers
        file[0x2a..0x2c].copy_from_slice(&0x20u16.to_be_bytes());
        file[0x2c..0x2e].copy_from_slice(&3u16.to_be_bytes());
        file[0x30..0x34].fill(7);
        for (kind, offset, size) in [(1, 0, 0x9c_u32), (kind, 0x94, 8), (0x7000_0003, 0x94, 8)] {
            for word in [kind, offset, 0, 0, size, 0, 0, 0] {
                file.extend(word.to_be_bytes());
            }
        }
        file.extend([0, 0, 32, 2, 1, 0, 0, fp_abi, 0xff]);
        file
    }

    #[test]
    fn the_right_static_binary_passes() {
        assert_eq!(check(&mips(0, 3), &target("mips_24kc")), Ok(()));
    }

    #[test]
    fn the_wrong_byte_order_or_float_abi_fails() {
        assert!(check(&mips(0, 3), &target("mipsel_24kc")).unwrap_err().starts_with("wrong CPU"));
        assert!(check(&mips(0, 1), &target("mips_24kc")).unwrap_err().starts_with("wrong float ABI"));
    }

    #[test]
    fn a_binary_for_a_dynamic_linker_fails() {
        assert!(check(&mips(3, 3), &target("mips_24kc")).unwrap_err().starts_with("not static"));
    }

    #[test]
    fn a_cut_file_fails_at_every_length() {
        let whole = mips(0, 3);
        for end in 0..whole.len() - 1 {
            assert!(check(&whole[..end], &target("mips_24kc")).is_err(), "{end}");
            assert!(cut(whole[..end].to_vec()).is_err(), "{end}");
        }
    }

    #[test]
    fn cutting_drops_the_section_headers_and_what_is_not_loaded() {
        let file = cut(mips(0, 3)).unwrap();
        assert_eq!(file.len(), 0x9c);
        assert_eq!(file[0x20..0x24], [0; 4]);
        assert_eq!(file[0x30..0x34], [0; 4]);
        assert_eq!(check(&file, &target("mips_24kc")), Ok(()));
    }
}
