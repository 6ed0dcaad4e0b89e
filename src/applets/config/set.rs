//! `bsbf-config set`: options of the manager and of the proxy, checked as these check them, then written by `uci`.

use super::Args;
use crate::config::edit::{self, Place};
use crate::config::options;
use crate::config::proxy::{self, Client, Options, Server};
use crate::error::{EXIT_DONE, EXIT_USAGE, Error, Outcome};
use crate::manager::RUN_DIR;
use crate::sys::uci;
use crate::wan::settings::Settings;
use crate::wire::uci::batch::Batch;
use crate::wire::uci::{Package, Section, UciOption, Value};

/// What the settings are in.
const PACKAGE: &str = "bsbf";
/// Types of sections: the one that is meant where none is named comes first.
const KINDS: [&str; 3] = ["bond", "proxy", "proxy_server"];

/// An option of a section and what it is to be; nothing is its default.
pub struct Wish<'a> {
    /// As it was named, with or without the section.
    name: &'a str,
    kind: &'static str,
    option: &'a str,
    values: Vec<&'a str>,
}

/// Sets options, each written as `[SECTION.]OPTION=VALUE[,VALUE...]`.
pub(super) fn run(args: &Args) -> Outcome {
    let mut wishes = Vec::new();
    for text in &args.what {
        let wish = wish(text)?;
        if wishes.iter().any(|other: &Wish| other.kind == wish.kind && other.option == wish.option) {
            return Err(usage(wish.name, "it is given twice"));
        }
        wishes.push(wish);
    }
    if wishes.is_empty() {
        return Err(usage("", "OPTION=VALUE expected"));
    }
    let place = Place {
        dir: args.dir(),
        pending: args.pending.clone().unwrap_or_else(|| uci::PENDING.into()),
        run_dir: args.run_dir.clone().unwrap_or_else(|| RUN_DIR.into()),
    };
    crate::logging::start_command(log::LevelFilter::Warn);
    edit::edit(&place, &[PACKAGE], &|packages| plan(packages, &wishes), &|packages| {
        holds(packages, &wishes)
    })?;
    if args.dir.is_none()
        && let Err(e) = edit::tell(PACKAGE)
    {
        log::warn!(
            "written, but services could not be told ({e}): reload them in /etc/init.d, or restart the router"
        );
    }
    Ok(EXIT_DONE)
}

fn usage(name: &str, cause: &str) -> Error {
    Error::new("set", name, cause).with_exit(EXIT_USAGE)
}

/// A wish by its text.
///
/// # Errors
/// There is no such option, or the value does not fit.
pub fn wish(text: &str) -> Result<Wish<'_>, Error> {
    let (name, values) = text.split_once('=').ok_or_else(|| usage(text, "OPTION=VALUE expected"))?;
    let (kind, option) = name.split_once('.').unwrap_or((KINDS[0], name));
    let kind = KINDS.into_iter().find(|known| *known == kind);
    let kind = kind.ok_or_else(|| usage(name, "before the dot bond, proxy or proxy_server expected"))?;
    let values: Vec<&str> = values.split(',').filter(|value| !value.is_empty()).collect();
    // Alone, before anything is read: a wrong word is told as one.
    let mut settings = settings(kind, &Package::default(), &|_| false).map_err(|e| usage(name, &e))?;
    let known = match values.as_slice() {
        [] if settings.knows(option) => Ok(()),
        [] => Err(["unknown option '", option, "'"].concat()),
        values => settings.set(option, values),
    };
    known.map_err(|e| usage(name, &e))?;
    Ok(Wish { name, kind, option, values })
}

/// The settings of a type of sections, as a file has them but for options that are to be others; or the first thing that is
/// wrong with them.
fn settings(kind: &str, package: &Package, but: &dyn Fn(&str) -> bool) -> Result<Box<dyn Options>, String> {
    let mut settings: Box<dyn Options> = match kind {
        "proxy" => Box::new(Client::default()),
        "proxy_server" => Box::new(Server::default()),
        _ => {
            let mut settings = Settings::default();
            options::apply_but(&mut settings, package, but)?;
            return Ok(Box::new(settings));
        }
    };
    match proxy::apply_but(&mut *settings, package, but).into_iter().next() {
        Some(wrong) => Err(wrong),
        None => Ok(settings),
    }
}

/// The section that counts: the manager's last one sets last, and the proxy has one of each.
fn section<'a>(packages: &'a [Package], kind: &str) -> Option<&'a Section> {
    packages.first()?.sections_of(kind).next_back()
}

/// The lines for `uci batch`.
///
/// # Errors
/// They do not go with what is there.
pub fn plan(packages: &[Package], wishes: &[Wish]) -> Result<Batch, Error> {
    let mut batch = Batch::default();
    for kind in KINDS {
        if wishes.iter().any(|wish| wish.kind == kind) {
            plan_section(&mut batch, packages, kind, wishes)?;
        }
    }
    Ok(batch)
}

fn plan_section(batch: &mut Batch, packages: &[Package], kind: &str, wishes: &[Wish]) -> Result<(), Error> {
    let refused = |what: &str, why: &str| Err(Error::new("set", what, why));
    let Some(package) = packages.first() else { return Ok(()) };
    // With what is there: together they may be too many. What they replace may be wrong.
    let is_replaced = |option: &str| wishes.iter().any(|wish| wish.kind == kind && wish.option == option);
    let mut settings = match settings(kind, package, &is_replaced) {
        Ok(settings) => settings,
        Err(why) => return refused(PACKAGE, &why),
    };
    let there = section(packages, kind);
    let place = match there {
        Some(section) if section.anonymous => [PACKAGE, ".@", kind, "[-1]"].concat(),
        Some(section) => [PACKAGE, ".", &section.name].concat(),
        None => [PACKAGE, ".", kind].concat(),
    };
    if there.is_none() {
        // It would become one of ours, with options that are none.
        if package.section(kind).is_some() {
            return refused(&place, "another type of sections has that name");
        }
        batch.set(&place, kind);
    }
    for Wish { name, option, values, .. } in wishes.iter().filter(|wish| wish.kind == kind) {
        if !values.is_empty()
            && let Err(why) = settings.set(option, values)
        {
            return refused(name, &why);
        }
        let address = [&place, ".", option].concat();
        if there.is_some_and(|section| section.option(option).is_some()) {
            batch.delete(&address);
        }
        let is_list = if kind == KINDS[0] { options::is_list(option) } else { proxy::is_list(option) };
        match values.as_slice() {
            [value] if !is_list => batch.set(&address, value),
            items => items.iter().for_each(|item| batch.add_list(&address, item)),
        }
    }
    match (settings.contradiction(), settings.lack()) {
        (Some((option, why)), _) => refused(&[kind, ".", option].concat(), why),
        (None, Some(why)) => refused(kind, why),
        (None, None) => Ok(()),
    }
}

/// Whether the first of the packages has all of it.
pub fn holds(packages: &[Package], wishes: &[Wish]) -> bool {
    let has = |Wish { kind, option, values, .. }: &Wish| match section(packages, kind) {
        Some(section) => section.list(option).is_ok_and(|there| there == *values),
        None => values.is_empty(),
    };
    wishes.iter().all(has)
}

/// The package as it is to be, where no `uci` keeps it.
pub fn with(mut package: Package, wishes: &[Wish]) -> Package {
    for Wish { kind, option, values, .. } in wishes {
        let place = package.sections.iter().rposition(|section| section.kind == *kind);
        let place = place.unwrap_or_else(|| {
            let (name, kind) = (String::from(*kind), String::from(*kind));
            package.sections.push(Section { name, anonymous: false, kind, options: Vec::new(), line: 0 });
            package.sections.len() - 1
        });
        let Some(section) = package.sections.get_mut(place) else { continue };
        section.options.retain(|other| other.name != *option);
        let is_list = if *kind == KINDS[0] { options::is_list(option) } else { proxy::is_list(option) };
        let value = match values.as_slice() {
            [] => continue,
            [value] if !is_list => Value::Single(value.as_bytes().to_vec()),
            items => Value::List(items.iter().map(|item| item.as_bytes().to_vec()).collect()),
        };
        section.options.push(UciOption { name: String::from(*option), value, line: 0 });
    }
    package
}
