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
    let wishes = args.what.iter().map(|text| wish(text)).collect::<Result<Vec<Wish>, Error>>()?;
    if wishes.is_empty() {
        return Err(usage("", "OPTION=VALUE expected"));
    }
    for (at, wish) in wishes.iter().enumerate() {
        let same = |other: &Wish| (other.kind, other.option) == (wish.kind, wish.option);
        if wishes.iter().take(at).any(same) {
            return Err(usage(wish.name, "it is given twice"));
        }
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
    let known = settings(kind, &Package::default()).and_then(|mut settings| match values.as_slice() {
        [] if settings.knows(option) => Ok(()),
        [] => Err(["unknown option '", option, "'"].concat()),
        values => settings.set(option, values),
    });
    known.map_err(|e| usage(name, &e))?;
    Ok(Wish { name, kind, option, values })
}

/// The settings of a type of sections, as a file has them; or the first thing that is wrong with them.
fn settings(kind: &str, package: &Package) -> Result<Box<dyn Options>, String> {
    let mut settings: Box<dyn Options> = match kind {
        "proxy" => Box::new(Client::default()),
        "proxy_server" => Box::new(Server::default()),
        _ => {
            let mut settings = Settings::default();
            options::apply_package(&mut settings, package)?;
            return Ok(Box::new(settings));
        }
    };
    match proxy::apply(&mut *settings, package).into_iter().next() {
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
        let wishes: Vec<&Wish> = wishes.iter().filter(|wish| wish.kind == kind).collect();
        if !wishes.is_empty() {
            check(packages, kind, &wishes)?;
            lines(&mut batch, packages, kind, &wishes)?;
        }
    }
    Ok(batch)
}

/// Whether they go with what is there: together they may be too many. What they replace may be wrong.
fn check(packages: &[Package], kind: &str, wishes: &[&Wish]) -> Result<(), Error> {
    let mut rest = packages.first().cloned().unwrap_or_default();
    if let Some(section) = rest.sections.iter_mut().rfind(|section| section.kind == kind) {
        section.options.retain(|option| wishes.iter().all(|wish| wish.option != option.name));
    }
    let mut settings = settings(kind, &rest).map_err(|e| Error::new("set", PACKAGE, e))?;
    for Wish { name, option, values, .. } in wishes {
        if !values.is_empty() {
            settings.set(option, values).map_err(|e| Error::new("set", name, e))?;
        }
    }
    if let Some((option, why)) = settings.contradiction() {
        return Err(Error::new("set", [kind, ".", option].concat(), why));
    }
    settings.lack().map_or(Ok(()), |why| Err(Error::new("set", kind, why)))
}

fn lines(batch: &mut Batch, packages: &[Package], kind: &str, wishes: &[&Wish]) -> Result<(), Error> {
    let there = section(packages, kind);
    let place = match there {
        Some(section) if section.anonymous => [PACKAGE, ".@", kind, "[-1]"].concat(),
        Some(section) => [PACKAGE, ".", &section.name].concat(),
        None => {
            let place = [PACKAGE, ".", kind].concat();
            // It would become one of ours, with options that are none.
            if let Some(other) = packages.first().and_then(|package| package.section(kind)) {
                let cause = ["a section of the type '", &other.kind, "' has that name"].concat();
                return Err(Error::new("set", place, cause));
            }
            batch.set(&place, kind);
            place
        }
    };
    for Wish { option, values, .. } in wishes {
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
    Ok(())
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
