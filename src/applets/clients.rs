//! `bsbf-add-client`, `bsbf-remove-client`, `bsbf-list-client`: who is let in by the server.
//!
//! The list is one file, `src/proxy/clients.rs` tells its format. It is changed under a lock and put in place as a whole,
//! so that whoever is told of a client finds it in the list, whatever happens.
//!
//! With `--json`, a client is an object: `id`, `uuid`, `port`, `mbps` (null without a limit), `name`; and, when it is added,
//! `token`, null where nobody knows an address to connect to. The list is an array of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use argh::FromArgs;
use miniserde::json;

use crate::applet::{self, Applet};
use crate::error::{EXIT_DONE, EXIT_LOCKED, EXIT_USAGE, Error, Outcome};
use crate::proxy::client_list::{FILE, read};
use crate::proxy::clients::{self, Client, Clients};
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
    example = "{command_name} 50 --name bus-7\n{command_name} --token --address bond.example.org",
    note = "A token is a link with all that a client needs; behind NAT it takes --address. Who has it is let in.",
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
    /// print JSON, with the token (schema: src/applets/clients.rs)
    #[argh(switch)]
    json: bool,
    /// print the token alone
    #[argh(switch)]
    token: bool,
    /// where clients connect to, for the token: address or name (default: this machine's address towards the Internet)
    #[argh(option, arg_name = "host")]
    address: Option<String>,
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
    if args.token && args.json {
        return Err(wrong("--token", "--json has it too"));
    }
    let host = match &args.address {
        Some(text) => {
            Ok(clients::host(text).ok_or_else(|| wrong("--address", "an address or a name expected"))?)
        }
        None => source::towards_internet().map(clients::host_of),
    };
    // Before somebody is let in whom nobody is told of.
    if let (true, Err(e)) = (args.token, &host) {
        let cause = ["no address to connect to (", &e.to_string(), "); give --address"].concat();
        return Err(Error::new("make", "a token", cause));
    }
    let bytes = random::bytes().map_err(|e| Error::new("make", "a UUID", e))?;
    if let Some(dir) = args.file.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        keep::make_dir(dir).map_err(|e| Error::new("make", dir.display(), e))?;
    }
    let client = edit(&args.file, &|clients| {
        let added = clients.add(Uuid::random(bytes), mbps, name);
        added.cloned().map_err(|cause| Error::new("add", "a client", cause))
    })?;
    let [_, uuid, port, ..] = client.words("");
    let token = host.ok().map(|host| client.token(&host));
    let text = match token {
        Some(token) if args.token => token,
        token if args.json => {
            let token = json::to_string(&token);
            ["{", &members(&client), ",\"token\":", &token, "}"].concat()
        }
        _ => [&*uuid, &port].join(" "),
    };
    applet::print(&(text + "\n"))?;
    Ok(EXIT_DONE)
}

fn remove(args: &RemoveArgs) -> Outcome {
    let uuid = Uuid::parse(&args.uuid);
    let uuid = uuid.ok_or_else(|| wrong(&args.uuid, "a whole UUID expected, 32 hexadecimal digits"))?;
    let unknown = || Error::new("remove", uuid.text(), "there is no such client");
    if !files::exists(&args.file) {
        return Err(unknown());
    }
    edit(&args.file, &|clients| clients.remove(&uuid).ok_or_else(unknown))?;
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
    let name = json::to_string(&name);
    ["\"id\":", &id, ",\"uuid\":\"", &uuid, "\",\"port\":", &port, ",\"mbps\":", &mbps, ",\"name\":", &name]
        .concat()
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
