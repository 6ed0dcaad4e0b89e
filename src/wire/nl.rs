//! Netlink framing: messages, attributes, and a builder for requests.
//!
//! `neli` gives us the socket; the bytes are read here without copying, because a default route must be
//! given back to the kernel with every attribute it had, known to us or not. Numbers in headers are in
//! host byte order (man 7 netlink); attributes are padded to 4 bytes.

use super::Malformed;

/// Size of struct nlmsghdr.
const HEADER: usize = 16;
/// NLA_TYPE_MASK: the two high bits say "nested" and "network byte order" (uapi/linux/netlink.h).
const TYPE_MASK: u16 = 0x3fff;
/// NLA_F_NESTED.
const NESTED: u16 = 0x8000;

/// NLM_F_ACK: answer with an acknowledgement.
pub const ACK: u16 = libc::NLM_F_ACK as u16;

/// One message of a datagram.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// nlmsg_type.
    pub kind: u16,
    /// nlmsg_flags.
    pub flags: u16,
    /// nlmsg_seq: echoes the request's.
    pub seq: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

/// The messages of one datagram; after a malformed one the iteration ends.
pub struct Messages<'a>(pub &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let message = split_message(self.0);
        self.0 = match &message {
            Ok(m) => self.0.get(aligned(HEADER + m.body.len())..).unwrap_or_default(),
            Err(Malformed) => &[],
        };
        Some(message)
    }
}

fn split_message(bytes: &[u8]) -> Result<Message<'_>, Malformed> {
    let len = u32_at(bytes, 0)? as usize;
    Ok(Message {
        kind: u16_at(bytes, 4)?,
        flags: u16_at(bytes, 6)?,
        seq: u32_at(bytes, 8)?,
        body: bytes.get(HEADER..len).ok_or(Malformed)?,
    })
}

/// The errno of an NLMSG_ERROR body: zero is an acknowledgement.
pub fn errno(body: &[u8]) -> Result<i32, Malformed> {
    Ok(i32::from_ne_bytes(array(body, 0)?).saturating_neg())
}

/// The attributes of a message or a nest, as (type without flags, payload).
pub struct Attrs<'a>(pub &'a [u8]);

impl<'a> Iterator for Attrs<'a> {
    type Item = Result<(u16, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let split = || -> Result<(usize, u16, &'a [u8]), Malformed> {
            let len = usize::from(u16_at(self.0, 0)?);
            Ok((len, u16_at(self.0, 2)? & TYPE_MASK, self.0.get(4..len).ok_or(Malformed)?))
        };
        match split() {
            Ok((len, kind, payload)) => {
                self.0 = self.0.get(aligned(len)..).unwrap_or_default();
                Some(Ok((kind, payload)))
            }
            Err(Malformed) => {
                self.0 = &[];
                Some(Err(Malformed))
            }
        }
    }
}

/// The next multiple of 4.
fn aligned(len: usize) -> usize {
    len.saturating_add(3) & !3
}

/// `N` bytes at `offset`.
pub fn array<const N: usize>(bytes: &[u8], offset: usize) -> Result<[u8; N], Malformed> {
    let part = offset.checked_add(N).and_then(|end| bytes.get(offset..end)).ok_or(Malformed)?;
    part.try_into().map_err(|_| Malformed)
}

/// A byte at `offset`.
pub fn u8_at(bytes: &[u8], offset: usize) -> Result<u8, Malformed> {
    bytes.get(offset).copied().ok_or(Malformed)
}

/// A u16 in host order at `offset`.
pub fn u16_at(bytes: &[u8], offset: usize) -> Result<u16, Malformed> {
    Ok(u16::from_ne_bytes(array(bytes, offset)?))
}

/// A u32 in host order at `offset`.
pub fn u32_at(bytes: &[u8], offset: usize) -> Result<u32, Malformed> {
    Ok(u32::from_ne_bytes(array(bytes, offset)?))
}

/// A u64 in host order at `offset`.
pub fn u64_at(bytes: &[u8], offset: usize) -> Result<u64, Malformed> {
    Ok(u64::from_ne_bytes(array(bytes, offset)?))
}

/// Text that ends at the first NUL; names of the kernel are ASCII.
pub fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    bytes.get(..end).and_then(|b| std::str::from_utf8(b).ok()).ok_or(Malformed)
}

/// A request under construction: header, fixed part, attributes.
pub struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// A message of type `kind` with NLM_F_REQUEST and `flags`; `fixed` is the family's own header.
    pub fn new(kind: u16, flags: u16, fixed: &[u8]) -> Request {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(flags | libc::NLM_F_REQUEST as u16).to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(fixed);
        Request { bytes }
    }

    /// Appends an attribute.
    pub fn attr(mut self, kind: u16, payload: &[u8]) -> Request {
        push_attr(&mut self.bytes, kind, payload);
        self
    }

    /// Appends a u32 attribute in host order.
    pub fn attr_u32(self, kind: u16, value: u32) -> Request {
        self.attr(kind, &value.to_ne_bytes())
    }

    /// Appends a nest that holds the attributes which `fill` pushes.
    pub fn nest(self, kind: u16, fill: impl FnOnce(&mut Vec<u8>)) -> Request {
        let mut inner = Vec::with_capacity(64);
        fill(&mut inner);
        self.attr(kind | NESTED, &inner)
    }

    /// Appends attributes that are encoded already.
    pub fn raw(mut self, attributes: &[u8]) -> Request {
        self.bytes.extend_from_slice(attributes);
        self
    }

    /// Asks for an acknowledgement.
    pub fn with_ack(mut self) -> Request {
        if let Some(low) = self.bytes.get_mut(6..8) {
            let flags = u16::from_ne_bytes([low[0], low[1]]) | ACK;
            low.copy_from_slice(&flags.to_ne_bytes());
        }
        self
    }

    /// The finished bytes, with the sequence number that the answer will carry.
    pub fn finish(mut self, seq: u32) -> Vec<u8> {
        let len = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        if let Some(field) = self.bytes.get_mut(0..4) {
            field.copy_from_slice(&len.to_ne_bytes());
        }
        if let Some(field) = self.bytes.get_mut(8..12) {
            field.copy_from_slice(&seq.to_ne_bytes());
        }
        self.bytes
    }
}

/// Appends one attribute, padded.
pub fn push_attr(out: &mut Vec<u8>, kind: u16, payload: &[u8]) {
    let len = u16::try_from(payload.len() + 4).unwrap_or(u16::MAX);
    out.extend_from_slice(&len.to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(payload);
    out.resize(aligned(out.len()), 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_reads_back() {
        let bytes =
            Request::new(24, 5, &[9; 12]).attr_u32(6, 12).nest(8, |n| push_attr(n, 1, b"ab")).finish(7);
        let message = Messages(&bytes).next().unwrap().unwrap();
        assert_eq!((message.kind, message.flags, message.seq), (24, 5, 7));
        let attrs: Vec<_> = Attrs(&message.body[12..]).map(Result::unwrap).collect();
        assert_eq!(attrs[0], (6, &12u32.to_ne_bytes()[..]));
        assert_eq!(Attrs(attrs[1].1).next().unwrap().unwrap(), (1, &b"ab"[..]));
    }

    #[test]
    fn a_truncated_message_is_malformed_and_ends_the_iteration() {
        let bytes = Request::new(24, 0, &[0; 12]).finish(1);
        let mut messages = Messages(&bytes[..20]);
        assert!(messages.next().unwrap().is_err());
        assert!(messages.next().is_none());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_end_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let messages = Messages(&bytes).count();
            let attributes = Attrs(&bytes).count();
            prop_assert!(messages <= bytes.len() && attributes <= bytes.len());
        }
    }
}
