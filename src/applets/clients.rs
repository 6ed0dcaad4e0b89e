//! `bsbf-add-client`, `bsbf-remove-client`, `bsbf-list-client`: who is let in by the server.
//!
//! The list is one file, `src/proxy/clients.rs` tells its format. It is changed under a lock and put in place as a whole,
//! so that whoever is told of a client finds it in the list, whatever happens.
//!
//! With `--json`, a client is an object: `id`, `uuid`, `port`, `mbps` (null without a limit), `name`, `key` (the public one, by
//! which encrypted connections are known; null without); and, when it is added or has a new key, `token` (the link) and
//! `join` (the join token), null where nobody knows an address to connect to. The list is an array of them.
//!
//! The list has public keys alone. A secret one is made for the token that tells it, and kept nowhere: who has lost the
//! token gets a new key.

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use argh::FromArgs;
use bsbf_noise::keys::{PublicKey, SecretKey};
use miniserde::json;

use crate::applet::{self, Applet};
use crate::config::{self, Given};
use crate::error::{EXIT_DONE, EXIT_LOCKED, EXIT_USAGE, Error, Outcome};
use crate::proxy::client_list::{FILE, read};
use crate::proxy::clients::{self, Client, Clients};
use crate::proxy::join::{Join, Secure};
use crate::proxy::key_files;
use crate::sys::{files, keep, lock, random, source};
use crate::wire::vless::Uuid;

/// The row of the table.
pub const ADD: Applet = Applet {
    name: "bsbf-add-client",
    summary: "Add a client to the bonding server: print its UUID and its port",
    run: |arguments| applet::with_args("bsbf-add-client", arguments, |args| add(&args)),
};

/// The row of the table.
pub const REMOVE: Applet = Applet {
    name: "bsbf-remove-client",
    summary: "Remove a client from the bonding server",
    run: |arguments| applet::with_args("bsbf-remove-client", arguments, |args| remove(&args)),
};

/// The row of the table.
pub const LIST: Applet = Applet {
    name: "bsbf-list-client",
    summary: "List the clients of the bonding server",
    run: |arguments| applet::with_args("bsbf-list-client", arguments, |args| list(&args)),
};

/// A change takes some milliseconds; on flash that has to be erased first, seconds, and others may wait before us.
const PATIENCE: Duration = Duration::from_secs(40);

/// Add a client to the bonding server: print its UUID and its port.
#[derive(FromArgs)]
#[argh(
    example = "{command_name} 50 --name bus-7 --join\n{command_name} --join --rekey 6ba85e17-9dad-410e-809f-00c04fd430c8\n{command_name} --token --address bond.example.org",
    note = "The join token is for 'bsbf-proxy client --join', the link for xray and sing-box; each has all that a client needs. Behind NAT they take --address. Who has one is let in.",
    note = "The join token has a new secret key of the client, which is kept nowhere else: --rekey makes another one and another UUID, and those before are void. With a rate or a name alone there is none, for nobody would know it.",
    note = "Reads the section 'config proxy_server' of /etc/config/bsbf, else /etc/bsbf/bsbf: key_file, secure_port, port and plain. Makes the server's key, /etc/bsbf/server.key, if there is none.",
    note = "Writes /etc/bsbf/clients, and clients.lock beside it. Room for 16384; each has the lowest free port.",
    note = "Exit codes: 0 added, 1 not added or not printed, 2 wrong arguments, 4 another one is changing the list."
)]
struct AddArgs {
    /// limit of its rate, in Mbit/s, 1 to 100000 (default: none)
    #[argh(positional)]
    mbps: Option<String>,
    /// what it is called: one word
    #[argh(option)]
    name: Option<String>,
    /// print JSON, with both tokens (schema: src/applets/clients.rs)
    #[argh(switch)]
    json: bool,
    /// print the join token alone
    #[argh(switch)]
    join: bool,
    /// print the link for xray and sing-box alone
    #[argh(switch)]
    token: bool,
    /// make no key: what this client carries is not encrypted
    #[argh(switch)]
    no_key: bool,
    /// give a client that is there, by its whole UUID, a key or a new one and a new UUID, in the place of adding one
    #[argh(option, arg_name = "uuid")]
    rekey: Option<String>,
    /// where clients connect to, for tokens: address or name (default: this machine's address towards the Internet)
    #[argh(option, arg_name = "host")]
    address: Option<String>,
    /// settings file (default: see below)
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
    /// the list (default: /etc/bsbf/clients)
    #[argh(option, default = "FILE.into()")]
    file: PathBuf,
}

/// Remove a client from the bonding server.
#[derive(FromArgs)]
#[argh(
    example = "{command_name} 6ba85e17-9dad-410e-809f-00c04fd430c8",
    note = "Writes /etc/bsbf/clients, and clients.lock beside it. The next client that is added may have its port.",
    note = "Exit codes: 0 removed, 1 not removed or not there, 2 wrong arguments, 4 another one is changing the list."
)]
struct RemoveArgs {
    /// its whole UUID
    #[argh(positional)]
    uuid: String,
    /// the list (default: /etc/bsbf/clients)
    #[argh(option, default = "FILE.into()")]
    file: PathBuf,
}

/// List the clients of the bonding server: ID UUID PORT MBPS NAME of each.
#[derive(FromArgs)]
#[argh(
    example = "{command_name}\n{command_name} --json",
    note = "Reads /etc/bsbf/clients. Who has a UUID is let in.",
    note = "Exit codes: 0 done, 1 the list cannot be read, 2 wrong arguments."
)]
struct ListArgs {
    /// print JSON (schema: src/applets/clients.rs)
    #[argh(switch)]
    json: bool,
    /// the list (default: /etc/bsbf/clients)
    #[argh(option, default = "FILE.into()")]
    file: PathBuf,
}

fn wrong(word: &str, cause: &str) -> Error {
    Error::new("understand", word, cause).with_exit(EXIT_USAGE)
}

fn add(args: &AddArgs) -> Outcome {
    let mbps = match &args.mbps {
        Some(text) => {
            let mbps = clients::mbps(text);
            Some(mbps.ok_or_else(|| wrong(text, "a whole number of Mbit/s from 1 to 100000 expected"))?)
        }
        None => None,
    };
    let name = args.name.as_deref().unwrap_or_default();
    if !clients::is_name(name) {
        return Err(wrong("--name", "one word of at most 64 bytes expected, without '#' in front"));
    }
    let told = Told::new(args)?;
    let host = match &args.address {
        Some(text) => {
            Ok(clients::host(text).ok_or_else(|| wrong("--address", "an address or a name expected"))?)
        }
        None => source::towards_internet().map(clients::host_of),
    };
    // Before somebody is let in whom nobody is told of.
    let tells = !matches!(told, Told::Words | Told::Json) || args.rekey.is_some();
    if let (true, Err(e)) = (tells, &host) {
        let cause = ["no address to connect to (", &e.to_string(), "); give --address"].concat();
        return Err(Error::new("make", "a token", cause));
    }
    let host = host.ok();
    let mut set = config::proxy::Server::default();
    let mut keys = None;
    if let (Told::Join | Told::Json, Some(_)) = (told, &host) {
        config::load_proxy(&mut set, args.config.as_deref(), &Given::new())?;
        keys = keys_of(args, &set)?;
    }
    let key = keys.as_ref().map(|(_, secret)| secret.public());
    let client = match &args.rekey {
        Some(uuid) => rekey(&args.file, uuid, key)?,
        None => {
            let bytes = random::bytes().map_err(|e| Error::new("make", "a UUID", e))?;
            if let Some(dir) = args.file.parent().filter(|dir| !dir.as_os_str().is_empty()) {
                keep::make_dir(dir).map_err(|e| Error::new("make", dir.display(), e))?;
            }
            edit(&args.file, &|clients| {
                let uuid = Uuid::random(bytes);
                clients.add(uuid, mbps, name).map_err(|cause| Error::new("add", "a client", cause))?;
                clients.known_by(&uuid, key).ok_or_else(|| unknown("add", &uuid))
            })?
        }
    };
    let text = match told {
        Told::Words => {
            let [_, uuid, port, ..] = client.words("");
            [&*uuid, " ", &port].concat()
        }
        Told::Link => host.map_or_else(String::new, |host| client.token(&host)),
        Told::Join => host.map_or_else(String::new, |host| join(&client, &set, keys, host)),
        Told::Json => {
            let link = json::to_string(&host.as_ref().map(|host| client.token(host)));
            let join = json::to_string(&host.map(|host| join(&client, &set, keys, host)));
            ["{", &members(&client), ",\"token\":", &link, ",\"join\":", &join, "}"].concat()
        }
    };
    applet::print(&(text + "\n"))?;
    Ok(EXIT_DONE)
}

/// What is printed of a client that was added.
#[derive(Clone, Copy)]
enum Told {
    /// UUID and port.
    Words,
    /// For xray and sing-box.
    Link,
    /// For our own client.
    Join,
    Json,
}

impl Told {
    fn new(args: &AddArgs) -> Result<Told, Error> {
        if args.rekey.is_some() {
            if args.mbps.is_some() || args.name.is_some() || args.no_key || args.token {
                return Err(wrong("--rekey", "it goes with --join, --json, --address and files alone"));
            }
            return Ok(if args.json { Told::Json } else { Told::Join });
        }
        match (args.token, args.join, args.json) {
            (false, false, false) => Ok(Told::Words),
            (true, false, false) => Ok(Told::Link),
            (false, true, false) => Ok(Told::Join),
            (false, false, true) => Ok(Told::Json),
            (true, _, true) => Err(wrong("--token", "--json has it too")),
            (_, true, true) => Err(wrong("--join", "--json has it too")),
            (true, true, false) => Err(wrong("--token", "--json has both")),
        }
    }
}

/// The server's public key and a new one of a client; nothing where there is to be none.
fn keys_of(args: &AddArgs, set: &config::proxy::Server) -> Result<Option<Keys>, Error> {
    if args.no_key || set.secure_port == 0 {
        let cause = if args.rekey.is_some() {
            "'secure_port' is 0: nothing is encrypted here"
        } else if !set.plain {
            "'plain' is 0: nobody comes in without a key"
        } else {
            return Ok(None);
        };
        return Err(Error::new("make", "a token", cause));
    }
    let file = Path::new(set.key_file.as_deref().unwrap_or(key_files::SERVER));
    Ok(Some((key_files::read_or_make(file)?.public(), key_files::new()?)))
}

/// A server's public key, and its client's secret one.
type Keys = (PublicKey, SecretKey);

/// The join token.
fn join(client: &Client, set: &config::proxy::Server, keys: Option<Keys>, host: String) -> String {
    let plain_port = match set.plain {
        true => set.port.map_or(client.port(), NonZeroU16::get),
        false => 0,
    };
    let secure = keys.map(|(server, key)| Secure { port: set.secure_port, server, key });
    Join { uuid: client.uuid, plain_port, secure, host, name: client.name.clone() }.token()
}

/// Gives a client that is there another key, and another UUID: who has the old token, or has seen the UUID go by, is not
/// let in without encryption either, and what he has open ends.
fn rekey(file: &Path, uuid: &str, key: Option<PublicKey>) -> Result<Client, Error> {
    let uuid = whole(uuid)?;
    if !files::exists(file) {
        return Err(unknown("change", &uuid));
    }
    let bytes = random::bytes().map_err(|e| Error::new("make", "a UUID", e))?;
    let other = Uuid::random(bytes);
    edit(file, &|clients| clients.renew(&uuid, other, key).ok_or_else(|| unknown("change", &uuid)))
}

fn whole(text: &str) -> Result<Uuid, Error> {
    let uuid = Uuid::parse(text);
    uuid.ok_or_else(|| wrong(text, "a whole UUID expected, 32 hexadecimal digits"))
}

fn unknown(doing: &'static str, uuid: &Uuid) -> Error {
    Error::new(doing, uuid.text(), "there is no such client")
}

fn remove(args: &RemoveArgs) -> Outcome {
    let uuid = whole(&args.uuid)?;
    if !files::exists(&args.file) {
        return Err(unknown("remove", &uuid));
    }
    edit(&args.file, &|clients| clients.remove(&uuid).ok_or_else(|| unknown("remove", &uuid)))?;
    Ok(EXIT_DONE)
}

fn list(args: &ListArgs) -> Outcome {
    let clients = read(&args.file)?;
    let mut text = String::new();
    for client in clients.iter() {
        if args.json {
            text += if text.is_empty() { "[{" } else { ",{" };
            text += &members(client);
            text.push('}');
        } else {
            text += client.words("unlimited").join(" ").trim_end();
            text.push('\n');
        }
    }
    if args.json {
        text += if text.is_empty() { "[]\n" } else { "]\n" };
    }
    applet::print(&text)?;
    Ok(EXIT_DONE)
}

/// What is in the object of a client.
fn members(client: &Client) -> String {
    let [id, uuid, port, mbps, name] = client.words("null");
    let [name, key] = [json::to_string(&name), json::to_string(&client.key.map(|key| key.text()))];
    let text = ["\"id\":", &id, ",\"uuid\":\"", &uuid, "\",\"port\":", &port, ",\"mbps\":", &mbps].concat();
    [&text, ",\"name\":", &name, ",\"key\":", &key].concat()
}

/// Changes the list as `plan` does, with no other change in between; it stays as it is where `plan` fails.
fn edit(file: &Path, plan: &dyn Fn(&mut Clients) -> Result<Client, Error>) -> Result<Client, Error> {
    // A link stays one, and there is one lock for all the names of a list.
    let file = &files::canonical(file).unwrap_or_else(|_| file.to_owned());
    let mut lock = file.as_os_str().to_owned();
    lock.push(".lock");
    let lock = Path::new(&lock);
    let me = ["pid ", &std::process::id().to_string()].concat();
    let held = lock::take_within(lock, 0o600, &me, PATIENCE);
    let _held = held.map_err(|e| Error::new("lock", lock.display(), e))?.map_err(|holder| {
        let cause = [&holder, " has been changing it for 40 s"].concat();
        Error::new("change", file.display(), cause).with_exit(EXIT_LOCKED)
    })?;
    let mut clients = read(file)?;
    let client = plan(&mut clients)?;
    keep::replace_secrets(file, clients.text().as_bytes())
        .map_err(|e| Error::new("write", file.display(), e))?;
    Ok(client)
}
