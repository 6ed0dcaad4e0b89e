//! `bsbf-config set`: options of the manager, checked as the manager checks them, then written by `uci`.

use super::Args;
use crate::config::edit::{self, Place};
use crate::config::options;
use crate::error::{EXIT_DONE, EXIT_USAGE, Error, Outcome};
use crate::manager::RUN_DIR;
use crate::sys::uci;
use crate::wan::settings::Settings;
use crate::wire::uci::batch::Batch;
use crate::wire::uci::{Package, Section};

/// What the manager's settings are in.
const PACKAGE: &str = "bsbf";
const SECTION: &str = "bond";

/// An option and what it is to be; nothing is its default.
struct Wish<'a> {
    option: &'a str,
    values: Vec<&'a str>,
}

/// Sets options, each written as `OPTION=VALUE[,VALUE...]`.
pub fn run(args: &Args) -> Outcome {
    let wishes = args.what.iter().map(|text| wish(text)).collect::<Result<Vec<Wish>, Error>>()?;
    if wishes.is_empty() {
        return Err(Error::new("set", "", "OPTION=VALUE expected").with_exit(EXIT_USAGE));
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
            "written, but services could not be told ({e}): /etc/init.d/bsbf-bond reload, or restart the router"
        );
    }
    Ok(EXIT_DONE)
}

fn wish(text: &str) -> Result<Wish<'_>, Error> {
    let (option, values) = text
        .split_once('=')
        .ok_or_else(|| Error::new("set", text, "OPTION=VALUE expected").with_exit(EXIT_USAGE))?;
    let values: Vec<&str> = values.split(',').filter(|value| !value.is_empty()).collect();
    // Alone, before anything is read: a wrong word is told as one.
    let mut settings = Settings::default();
    let known = match values.as_slice() {
        [] if settings.options().iter().any(|(known, _)| *known == option) => Ok(()),
        [] => Err(format!("unknown option '{option}'")),
        values => options::set(&mut settings, option, values),
    };
    known.map_err(|e| Error::new("set", option, e).with_exit(EXIT_USAGE))?;
    Ok(Wish { option, values })
}

/// The section that counts: the last one sets last.
fn section(packages: &[Package]) -> Option<&Section> {
    packages.first()?.sections_of(SECTION).next_back()
}

fn plan(packages: &[Package], wishes: &[Wish]) -> Result<Batch, Error> {
    // With what is there: together they may be too many.
    let mut settings = Settings::default();
    let refused = |e| Error::new("set", PACKAGE, e);
    packages
        .iter()
        .try_for_each(|package| options::apply_package(&mut settings, package))
        .map_err(refused)?;
    let mut batch = Batch::default();
    let place = match section(packages) {
        Some(section) if section.anonymous => format!("{PACKAGE}.@{SECTION}[-1]"),
        Some(section) => format!("{PACKAGE}.{}", section.name),
        None => {
            batch.set(&format!("{PACKAGE}.{SECTION}"), SECTION);
            format!("{PACKAGE}.{SECTION}")
        }
    };
    for Wish { option, values } in wishes {
        if !values.is_empty() {
            options::set(&mut settings, option, values).map_err(|e| Error::new("set", option, e))?;
        }
        let address = format!("{place}.{option}");
        if section(packages).is_some_and(|section| section.option(option).is_some()) {
            batch.delete(&address);
        }
        match values.as_slice() {
            [value] if !options::is_list(option) => batch.set(&address, value),
            items => items.iter().for_each(|item| batch.add_list(&address, item)),
        }
    }
    Ok(batch)
}

fn holds(packages: &[Package], wishes: &[Wish]) -> bool {
    let has = |Wish { option, values }: &Wish| match section(packages) {
        Some(section) => section.list(option).is_ok_and(|there| there == *values),
        None => values.is_empty(),
    };
    wishes.iter().all(has)
}
