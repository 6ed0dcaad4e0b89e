//! Policy rules (uapi/linux/fib_rules.h): ours whole, other people's as far as they tell who made them.

use std::net::IpAddr;

use super::super::Malformed;
use super::super::nl::{self, Attrs, Request};
use super::{DELRULE, Family, NEWRULE, RTPROT_BSBF, ip, octets};
use crate::types::IfName;

const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_OIFNAME: u16 = 17;
const FRA_PROTOCOL: u16 = 21;
/// FR_ACT_TO_TBL: look the packet up in the rule's table.
pub const TO_TABLE: u8 = 1;
/// FIB_RULE_INVERT: "not", the rule catches what it does not describe.
const INVERT: u32 = 2;

/// A policy rule of ours: `from SOURCE fwmark 0/MASK lookup TABLE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// FRA_PRIORITY: the lower is asked first.
    pub priority: u32,
    /// The address whose packets it catches, as a host prefix.
    pub source: IpAddr,
    /// FRA_FWMASK with a mark of 0: it passes over packets with any of these bits in their mark. With 0 it catches
    /// marked packets too (fib_rule_match in net/core/fib_rules.c: `(rule->mark ^ fl->mark) & rule->mark_mask`).
    pub mask: u32,
    /// The table it sends them to.
    pub table: u32,
    /// FRA_SUPPRESS_PREFIXLEN 0: a default route found there does not count.
    pub no_default: bool,
}

/// A policy rule of anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnyRule {
    /// IPv4 or IPv6.
    pub family: Family,
    /// FRA_PRIORITY.
    pub priority: u32,
    /// Who made it (RTPROT_); 0 where nobody says.
    pub protocol: u8,
    /// FR_ACT_: `TO_TABLE`, 6 blackhole, 7 unreachable, 8 prohibit.
    pub action: u8,
    /// Packets from these addresses only.
    pub source: Option<(IpAddr, u8)>,
    /// Packets to these addresses only.
    pub destination: Option<(IpAddr, u8)>,
    /// Packets that came in here only.
    pub iif: Option<IfName>,
    /// Packets of sockets that are bound to this device only.
    pub oif: Option<IfName>,
    /// FRA_FWMARK.
    pub mark: u32,
    /// FRA_FWMASK: the bits of a packet's mark that must be as in `mark`.
    pub mask: u32,
    /// The table it looks up, if that is its action.
    pub table: u32,
    /// It catches what it does not describe.
    pub inverted: bool,
}

impl AnyRule {
    /// Made by us.
    pub fn is_ours(&self) -> bool {
        self.protocol == RTPROT_BSBF
    }

    /// A packet with this mark is caught because of its mark.
    pub fn wants(&self, mark: u32) -> bool {
        !self.inverted && self.mark != 0 && (self.mark ^ mark) & self.mask == 0
    }
}

/// What is read of a rule's message beside what `AnyRule` has.
struct Read {
    rule: AnyRule,
    no_default: bool,
}

fn read(body: &[u8]) -> Result<Option<Read>, Malformed> {
    let Some(family) = Family::from_af(nl::u8_at(body, 0)?) else { return Ok(None) };
    let (destination_len, source_len) = (nl::u8_at(body, 1)?, nl::u8_at(body, 2)?);
    let mut rule = AnyRule {
        family,
        priority: 0,
        protocol: 0,
        action: nl::u8_at(body, 7)?,
        source: None,
        destination: None,
        iif: None,
        oif: None,
        mark: 0,
        mask: 0,
        table: u32::from(nl::u8_at(body, 4)?),
        inverted: nl::u32_at(body, 8)? & INVERT != 0,
    };
    let mut no_default = false;
    for attr in Attrs(body.get(12..).ok_or(Malformed)?) {
        match attr? {
            (kind @ (FRA_SRC | FRA_DST), payload) => {
                let address = ip(family, payload)?;
                match kind {
                    FRA_SRC => rule.source = Some((address, source_len)),
                    _ => rule.destination = Some((address, destination_len)),
                }
            }
            (kind @ (FRA_IIFNAME | FRA_OIFNAME), payload) => {
                let name = nl::text(payload)?.parse().ok();
                *(if kind == FRA_IIFNAME { &mut rule.iif } else { &mut rule.oif }) = name;
            }
            (FRA_PRIORITY, payload) => rule.priority = nl::u32_at(payload, 0)?,
            (FRA_FWMARK, payload) => rule.mark = nl::u32_at(payload, 0)?,
            (FRA_FWMASK, payload) => rule.mask = nl::u32_at(payload, 0)?,
            (FRA_TABLE, payload) => rule.table = nl::u32_at(payload, 0)?,
            (FRA_PROTOCOL, payload) => rule.protocol = nl::u8_at(payload, 0)?,
            (FRA_SUPPRESS_PREFIXLEN, payload) => no_default = nl::u32_at(payload, 0)? == 0,
            _ => {}
        }
    }
    Ok(Some(Read { rule, no_default }))
}

/// Reads the body of an RTM_NEWRULE or RTM_DELRULE message; None for other people's rules.
pub(super) fn ours(body: &[u8]) -> Result<Option<Rule>, Malformed> {
    Ok(read(body)?.filter(|read| read.rule.is_ours()).and_then(|Read { rule, no_default }| {
        let AnyRule { family, priority, mask, table, .. } = rule;
        let (source, _) = rule.source.filter(|(_, len)| *len == family.host_len())?;
        Some(Rule { priority, source, mask, table, no_default })
    }))
}

/// Reads the body of an RTM_NEWRULE or RTM_DELRULE message, whoever made the rule; None for families beside IP.
pub fn any_rule(body: &[u8]) -> Result<Option<AnyRule>, Malformed> {
    Ok(read(body)?.map(|read| read.rule))
}

/// The request that adds or deletes a rule of ours.
pub fn rule_request(add: bool, rule: &Rule) -> Request {
    let family = Family::of(rule.source);
    let (kind, flags) = if add { (NEWRULE, libc::NLM_F_CREATE | libc::NLM_F_EXCL) } else { (DELRULE, 0) };
    let mut fixed = [0; 12];
    fixed[0] = family.af();
    fixed[2] = family.host_len();
    fixed[7] = TO_TABLE;
    let mut request = Request::new(kind, flags as u16, &fixed)
        .attr(FRA_SRC, &octets(rule.source))
        .attr_u32(FRA_PRIORITY, rule.priority)
        .attr_u32(FRA_TABLE, rule.table)
        .attr(FRA_PROTOCOL, &[RTPROT_BSBF]);
    if rule.mask != 0 {
        // As iproute2 writes `fwmark 0/MASK`; the kernel tells a mark of 0 by leaving it out.
        request = request.attr_u32(FRA_FWMARK, 0).attr_u32(FRA_FWMASK, rule.mask);
    }
    if rule.no_default { request.attr_u32(FRA_SUPPRESS_PREFIXLEN, 0) } else { request }
}
