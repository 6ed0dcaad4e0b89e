//! A hash for tables, and a checksum against mishaps: nothing that anybody could not forge.

/// FNV-1a, of 32 bits. One byte that is another always makes another hash: each step can be undone.
pub fn fnv1a(bytes: &[u8]) -> u32 {
    let mix = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(16_777_619);
    bytes.iter().fold(2_166_136_261, mix)
}

#[cfg(test)]
mod tests {
    use super::fnv1a;

    /// Of the authors' own test vectors (draft-eastlake-fnv, appendix C).
    #[test]
    fn it_is_that_of_its_authors() {
        assert_eq!((fnv1a(b""), fnv1a(b"a"), fnv1a(b"foobar")), (0x811c_9dc5, 0xe40c_292c, 0xbf9c_f968));
    }
}
