//! What is said to a modem: who are you, which mode have you, take this one.

use std::time::Duration;

use super::at::{Client, Port, Text, Trouble};
use super::{Family, Mode, Model, made_by};

/// For an answer; some take seconds while they look for a network.
const ANSWER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];
/// For an order: it is written to flash.
const ORDER: Duration = Duration::from_secs(15);

/// A modem that has answered.
pub struct Known {
    /// Its family.
    pub family: &'static Family,
    /// Its model's name; empty if it does not tell.
    pub name: Text,
    /// What is known of the model.
    pub model: &'static Model,
    /// The number of its mode.
    pub number: u16,
}

impl Known {
    /// Its mode, if it has a name.
    pub fn mode(&self) -> Option<Mode> {
        self.model.mode(self.number)
    }
}

/// Why a modem is not known.
#[derive(Debug, PartialEq, Eq)]
pub enum Unknown {
    /// It has not answered.
    Trouble(Trouble),
    /// It is of no family that is known; what it calls its maker.
    Stranger(Text),
    /// Its mode is no number; what it says.
    NoNumber(Text),
}

impl From<Trouble> for Unknown {
    fn from(trouble: Trouble) -> Unknown {
        Unknown::Trouble(trouble)
    }
}

/// Calls once, and waits so long for an answer. Whoever calls a slow one again and again waits for all its answers.
///
/// # Errors
/// As [`Trouble`] says.
pub fn wake<P: Port>(client: &mut Client<P>, within: Duration) -> Result<(), Trouble> {
    match client.tell("AT", within) {
        // It is there, whatever it does not like.
        Err(Trouble::Refused(_)) => Ok(()),
        done => done,
    }
}

/// Learns who it is and which mode it has, with so much time for each answer, as far as that is sensible. `family` is what
/// USB's ids or the user say; without it the modem is asked.
///
/// # Errors
/// As [`Unknown`] says.
pub fn know<P: Port>(
    client: &mut Client<P>,
    family: Option<&'static Family>,
    product: Option<u16>,
    within: Duration,
) -> Result<Known, Unknown> {
    let within = within.clamp(ANSWER[0], ANSWER[1]);
    let family = match family {
        Some(family) => family,
        None => {
            let maker = question(client, "AT+CGMI", "", within)?;
            made_by(&maker).ok_or(Unknown::Stranger(maker))?
        }
    };
    // One that does not tell is known by its product, or not at all.
    let name = match question(client, "AT+CGMM", "", within) {
        Err(Trouble::Gone) => return Err(Trouble::Gone.into()),
        name => name.unwrap_or_default(),
    };
    let answer = question(client, family.query, family.answer, within)?;
    let number = family.number(&answer).ok_or(Unknown::NoNumber(answer))?;
    Ok(Known { model: family.model(&name, product), family, name, number })
}

/// Asks once more only where the first answer was a refusal, which some give just after their start: an answer that is
/// late would pass for the next question's.
fn question<P: Port>(
    client: &mut Client<P>,
    command: &str,
    prefix: &str,
    within: Duration,
) -> Result<Text, Trouble> {
    match client.ask(command, prefix, within) {
        Err(Trouble::Refused(_)) => client.ask(command, prefix, within),
        done => done,
    }
}

/// Has it take another mode, and start anew.
///
/// # Errors
/// That it does not take it. A port that ends meanwhile, or silence at the reset, are what a restart looks like.
pub fn set<P: Port>(client: &mut Client<P>, family: &Family, number: u16) -> Result<(), Trouble> {
    let [before, after] = family.set;
    let order = [before, &number.to_string(), after].concat();
    let done = client.tell(&order, ORDER);
    let Some(reset) = family.reset else {
        // It may restart before it says OK.
        return done.or_else(|trouble| if trouble == Trouble::Gone { Ok(()) } else { Err(trouble) });
    };
    done?;
    match client.tell(reset, ORDER) {
        Err(trouble @ Trouble::Refused(_)) => Err(trouble),
        _ => Ok(()),
    }
}

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (before, words, after) = match self {
            Unknown::Trouble(trouble) => return trouble.fmt(f),
            Unknown::Stranger(maker) => ("a modem of '", maker, "', which is no family known here"),
            Unknown::NoNumber(answer) => ("it calls its mode '", answer, "', which is no number"),
        };
        [before, words, after].iter().try_for_each(|part| f.write_str(part))
    }
}
