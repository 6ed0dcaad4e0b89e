//! The clients that the server lets in, and the text that they are kept in.
//!
//! A client's number decides all that the server has for it alone: its port, and the marks of its packets. So a number is
//! nobody else's as long as the client is there, and the lowest free one is the next client's.
//!
//! The text has a line each, `ID UUID MBPS [NAME]`, where MBPS is `-` without a limit. Empty lines and lines that begin
//! with `#` say nothing, but for `#key UUID KEY`: by this public key the client with that UUID is known where connections
//! are encrypted. Programs from before there were keys take it for a note, and let the client in as ever; they leave it
//! out when they write the list anew.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

use bsbf_noise::keys::PublicKey;

use crate::wire::hash::fnv1a;
use crate::wire::vless::Uuid;

/// So many clients may be there: their ports are the upper half of all.
pub const MOST: u16 = 1 << 14;
/// The first client's port.
const FIRST_PORT: u16 = 1 << 15;
/// The highest limit of a client's rate, in Mbit/s.
pub const MOST_MBPS: u32 = 100_000;
/// The longest name, in bytes.
const LONGEST_NAME: usize = 64;

/// What is first in the text: whoever edits it learns what he may.
const HEAD: &str = "# ID UUID MBPS NAME of each client, and #key UUID KEY of each that has one. bsbf-add-client and bsbf-remove-client write this file anew: notes go into names.\n";
/// What a line with a key begins with.
const KEY: &str = "#key";

/// Somebody who is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The number, below [`MOST`].
    pub id: u16,
    /// The secret that lets it in.
    pub uuid: Uuid,
    /// The limit of its rate in Mbit/s, each way; none if it is not limited.
    pub mbps: Option<NonZeroU32>,
    /// What people call it, as [`is_name`] allows; may be empty.
    pub name: String,
    /// What it is known by where connections are encrypted; without it they are not.
    pub key: Option<PublicKey>,
}

impl Client {
    /// The port that is this client's alone: by it the kernel can tell clients apart.
    pub fn port(&self) -> u16 {
        FIRST_PORT + self.id
    }

    /// The marks of its packets, those that come in and those that go out.
    ///
    /// Servers in the field have a class of HTB for each of their 512 clients, whose numbers are 512 and 1024 above the
    /// client's; what reads these keeps working. From the 513th on they would run into each other, so those have a bit of
    /// their own instead, above all of these.
    #[cfg(feature = "server")]
    pub fn marks(&self) -> (u32, u32) {
        let id = u32::from(self.id);
        if id < 512 { (512 + id, 1024 + id) } else { (0x1_0000 + id, 0x2_0000 + id) }
    }

    /// As it is shown: number, UUID, port, limit, name; `unlimited` stands for no limit.
    pub fn words(&self, unlimited: &str) -> [String; 5] {
        let number = |number: u16| u32::from(number).to_string();
        let mbps = self.mbps.map_or_else(|| unlimited.to_owned(), |mbps| mbps.get().to_string());
        [number(self.id), self.uuid.text(), number(self.port()), mbps, self.name.clone()]
    }

    /// A link that has all that this client needs to connect to `host` (as [`host`] gives it), in the form that the clients
    /// xray and sing-box take too.
    pub fn token(&self, host: &str) -> String {
        let [_, uuid, port, ..] = self.words("");
        let mut token = ["vless://", &uuid, "@", host, ":", &port, "?encryption=none&type=tcp"].concat();
        if !self.name.is_empty() {
            token.push('#');
        }
        for byte in self.name.bytes() {
            match byte {
                // RFC 3986 section 2.3.
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    token.push(byte.into())
                }
                _ => {
                    token.push('%');
                    for digit in [byte >> 4, byte & 0xf] {
                        let digit = char::from_digit(digit.into(), 16).unwrap_or_default();
                        token.push(digit.to_ascii_uppercase());
                    }
                }
            }
        }
        token
    }
}

/// A host as it stands in a link: an address, one of IPv6 in brackets, or a name; `None` if it is none.
pub fn host(text: &str) -> Option<String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    if let Ok(ip) = bare.unwrap_or(text).parse::<Ipv6Addr>() {
        return Some(host_of(ip.into()));
    }
    // RFC 1123 section 2.1; names with _ are in use.
    let is_name = (1..=253).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    is_name.then(|| text.to_owned())
}

/// The same of an address.
pub fn host_of(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => ["[", &ip.to_string(), "]"].concat(),
    }
}

/// Whether a client may be called so: one word of the text, that is no comment, nothing that a terminal obeys, and not
/// what stands for bytes that are no text.
pub fn is_name(text: &str) -> bool {
    let is_legal = |c: char| !c.is_whitespace() && !c.is_control() && c != char::REPLACEMENT_CHARACTER;
    text.len() <= LONGEST_NAME && !text.starts_with('#') && text.chars().all(is_legal)
}

/// A limit of a rate in Mbit/s; `None` if it is none.
pub fn mbps(text: &str) -> Option<NonZeroU32> {
    NonZeroU32::new(number(text)?).filter(|mbps| mbps.get() <= MOST_MBPS)
}

/// Digits alone: Rust's would take a sign.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// All clients, by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clients {
    /// Each at its number's place; the last place is not empty.
    places: Vec<Option<Client>>,
}

impl Clients {
    /// Reads the text.
    ///
    /// # Errors
    /// The number of the first line that is wrong, and in words what is wrong with it.
    pub fn parse(text: &str) -> Result<Clients, (usize, String)> {
        let mut clients = Clients::default();
        let mut known = Known(vec![None; PLACES]);
        let mut keys = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            if let Some((uuid, key)) = key(text).map_err(|wrong| (line, wrong))? {
                keys.push((line, uuid, key));
                continue;
            }
            if text.trim_start().starts_with('#') || text.trim().is_empty() {
                continue;
            }
            let client = client(text).map_err(|wrong| (line, wrong))?;
            if let Some(other) = known.note(client.id, &client.uuid.0, &|id| clients.is(id, &client.uuid)) {
                return Err((line, ["its UUID is that of client ", &other.to_string()].concat()));
            }
            let id = client.id;
            if clients.place(client).is_err() {
                return Err((line, ["there is a client ", &id.to_string(), " already"].concat()));
            }
        }
        clients.take_keys(&keys, &known)?;
        Ok(clients)
    }

    /// Gives the keys to their clients, by their UUIDs.
    fn take_keys(&mut self, keys: &[(usize, Uuid, PublicKey)], uuids: &Known) -> Result<(), (usize, String)> {
        let mut known = Known(vec![None; if keys.is_empty() { 0 } else { PLACES }]);
        for (line, uuid, key) in keys {
            // That of a client whose line somebody took out by hand is nobody's.
            let Some(id) = uuids.find(&uuid.0, &|id| self.is(id, uuid)) else { continue };
            let has = |id| self.get(id).is_some_and(|client| client.key == Some(*key));
            if let Some(other) = known.note(id, key.bytes(), &has) {
                return Err((*line, ["its key is that of client ", &other.to_string()].concat()));
            }
            if let Some(Some(client)) = self.places.get_mut(usize::from(id))
                && client.key.replace(*key).is_some()
            {
                return Err((*line, ["client ", &id.to_string(), " has a key already"].concat()));
            }
        }
        Ok(())
    }

    /// The text that [`Clients::parse`] reads.
    pub fn text(&self) -> String {
        let mut text = String::from(HEAD);
        for client in self.iter() {
            let [id, uuid, _, mbps, name] = client.words("-");
            text += [&*id, &uuid, &mbps, &name].join(" ").trim_end();
            text.push('\n');
            if let Some(key) = &client.key {
                text += &[KEY, " ", &uuid, " ", &key.text(), "\n"].concat();
            }
        }
        text
    }

    /// Takes in somebody new, with the lowest number that is free.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn add(&mut self, uuid: Uuid, mbps: Option<NonZeroU32>, name: &str) -> Result<&Client, &'static str> {
        if self.iter().any(|client| client.uuid == uuid) {
            return Err("there is a client with its UUID already");
        }
        if !is_name(name) {
            return Err("its name is none");
        }
        let free = self.places.iter().position(Option::is_none).unwrap_or(self.places.len());
        let id = u16::try_from(free).ok().filter(|id| *id < MOST);
        let id = id.ok_or("there are 16384, which is all that have ports")?;
        self.place(Client { id, uuid, mbps, name: name.to_owned(), key: None })
            .map_err(|()| "its number is taken")
    }

    /// Has the client with this UUID known by this key, or by none, from now on.
    pub fn known_by(&mut self, uuid: &Uuid, key: Option<PublicKey>) -> Option<Client> {
        self.renew(uuid, *uuid, key)
    }

    /// Has the client with the first UUID known by the second and this key alone from now on.
    pub fn renew(&mut self, uuid: &Uuid, other: Uuid, key: Option<PublicKey>) -> Option<Client> {
        let client = self.places.iter_mut().flatten().find(|client| client.uuid == *uuid)?;
        (client.uuid, client.key) = (other, key);
        Some(client.clone())
    }

    /// Forgets the client with this UUID, and gives what was known of it.
    pub fn remove(&mut self, uuid: &Uuid) -> Option<Client> {
        let has = |place: &&mut Option<Client>| place.as_ref().is_some_and(|client| client.uuid == *uuid);
        let removed = self.places.iter_mut().find(has)?.take();
        while let Some(None) = self.places.last() {
            self.places.pop();
        }
        removed
    }

    /// Each, from the lowest number on.
    pub fn iter(&self) -> impl Iterator<Item = &Client> {
        self.places.iter().flatten()
    }

    /// The client with this number.
    fn get(&self, id: u16) -> Option<&Client> {
        self.places.get(usize::from(id))?.as_ref()
    }

    /// Whether the client with this number has this UUID.
    fn is(&self, id: u16, uuid: &Uuid) -> bool {
        self.get(id).is_some_and(|client| client.uuid == *uuid)
    }

    /// Puts a client at its place, unless another is there.
    fn place(&mut self, client: Client) -> Result<&Client, ()> {
        let index = usize::from(client.id);
        if self.places.len() <= index {
            self.places.resize(index + 1, None);
        }
        match self.places.get_mut(index) {
            Some(place @ None) => Ok(place.insert(client)),
            _ => Err(()),
        }
    }
}

/// Twice as many as there may be clients.
const PLACES: usize = 2 * MOST as usize;

/// Clients' numbers, each at the place that the hash of its UUID, or its key, names or, if that is taken, at the next free
/// one: comparing each with each takes seconds where there are many, and sorting them takes 3 KB of code.
struct Known(Vec<Option<u16>>);

impl Known {
    /// Notes a client by these bytes, unless another `has` them, who is given then.
    fn note(&mut self, id: u16, bytes: &[u8], has: &dyn Fn(u16) -> bool) -> Option<u16> {
        let free = match self.search(bytes, has) {
            Ok(other) => return Some(other),
            Err(free) => free,
        };
        if let Some(place) = self.0.get_mut(free) {
            *place = Some(id);
        }
        None
    }

    /// Who `has` these bytes.
    fn find(&self, bytes: &[u8], has: &dyn Fn(u16) -> bool) -> Option<u16> {
        self.search(bytes, has).ok()
    }

    /// Who has them, or else the place that is free for whoever does.
    fn search(&self, bytes: &[u8], has: &dyn Fn(u16) -> bool) -> Result<u16, usize> {
        let first = fnv1a(bytes) as usize % PLACES;
        for place in (first..PLACES).chain(0..first) {
            match self.0.get(place).copied().flatten() {
                None => return Err(place),
                Some(id) if has(id) => return Ok(id),
                Some(_) => {}
            }
        }
        Err(PLACES)
    }
}

/// What a line says of a key, and whose it is; nothing if it says nothing of one.
fn key(line: &str) -> Result<Option<(Uuid, PublicKey)>, String> {
    let mut words = line.split_whitespace();
    // People may have written notes that begin so.
    let (Some(KEY), Some(uuid)) = (words.next(), words.next().and_then(Uuid::parse)) else { return Ok(None) };
    let key = words.next().and_then(PublicKey::parse);
    match (key, words.next()) {
        (Some(key), None) => Ok(Some((uuid, key))),
        _ => Err("#key UUID KEY expected, where a key is 64 hexadecimal digits".to_owned()),
    }
}

/// The client of a line, or what is wrong with it.
fn client(line: &str) -> Result<Client, String> {
    let wrong = |word: &str, expected: &str| Err(["'", word, "' is no ", expected].concat());
    let mut words = line.split_whitespace();
    let (Some(id), Some(uuid), Some(limit)) = (words.next(), words.next(), words.next()) else {
        return Err("ID UUID MBPS [NAME] expected, MBPS '-' without a limit".to_owned());
    };
    let name = words.next().unwrap_or_default();
    if let Some(word) = words.next() {
        return wrong(word, "part of ID UUID MBPS [NAME], where a name is one word");
    }
    let Some(number) = number(id).and_then(|id| u16::try_from(id).ok()).filter(|id| *id < MOST) else {
        return wrong(id, "client's number, 0 to 16383");
    };
    let Some(secret) = Uuid::parse(uuid) else {
        return wrong(uuid, "UUID, 32 hexadecimal digits");
    };
    let rate = mbps(limit);
    if rate.is_none() && limit != "-" {
        return wrong(limit, "rate, 1 to 100000 Mbit/s or '-'");
    }
    if !is_name(name) {
        return wrong(name, "name, at most 64 bytes, without '#' in front");
    }
    Ok(Client { id: number, uuid: secret, mbps: rate, name: name.to_owned(), key: None })
}

#[cfg(test)]
#[path = "clients/tests.rs"] // The fuzz targets have this file elsewhere.
mod tests;
