//! What came of a modem, in words and in JSON.

use std::path::Path;

use miniserde::{Serialize, json};

use crate::modem::Mode;
use crate::modem::dialogue::Known;

/// How it ended; in JSON by these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Ending {
    /// Nothing was asked for.
    #[serde(rename = "shown")]
    Shown,
    /// It had the mode.
    #[serde(rename = "already")]
    Already,
    /// It has it now.
    #[serde(rename = "changed")]
    Changed,
    /// It was told to, and not waited for.
    #[serde(rename = "sent")]
    Sent,
    /// It would be told to.
    #[serde(rename = "would_change")]
    WouldChange,
    /// It has it not, or nobody knows.
    #[serde(rename = "failed")]
    Failed,
    /// It is no modem of a family that is known.
    #[serde(rename = "stranger")]
    Stranger,
}

/// What is known of a modem at the end, as usbnet.rs describes it.
#[derive(Serialize)]
pub struct Report {
    name: String,
    maker: Option<&'static str>,
    model: Option<String>,
    port: Option<String>,
    mode: Option<&'static str>,
    number: Option<u32>,
    before: Option<&'static str>,
    modes: Vec<&'static str>,
    /// How it ended.
    pub result: Ending,
    /// Why it failed.
    pub error: Option<String>,
    /// What is said of the mode: "qmi", "qmi -> ecm, back after 14 s".
    pub words: String,
}

impl Report {
    /// Nothing is known yet.
    pub fn of(name: &str) -> Report {
        Report {
            name: name.to_owned(),
            maker: None,
            model: None,
            port: None,
            mode: None,
            number: None,
            before: None,
            modes: Vec::new(),
            result: Ending::Failed,
            error: None,
            words: String::new(),
        }
    }

    /// What it has told. Gives its mode in words.
    pub fn learn(&mut self, port: &Path, known: &Known) -> String {
        let is_first = self.maker.is_none();
        self.maker = Some(known.family.maker);
        self.model = Some(known.name.as_str().to_owned()).filter(|name| !name.is_empty());
        self.port = Some(port.to_string_lossy().into_owned());
        self.number = Some(known.number.into());
        self.mode = known.mode().map(Mode::name);
        let words = match self.mode {
            Some(name) => name.to_owned(),
            None => ["mode ", &known.number.to_string(), " (unknown)"].concat(),
        };
        if is_first {
            self.before = self.mode;
            self.modes.extend(known.model.modes.iter().map(|(_, mode)| mode.name()));
            self.words.push_str(&words);
        }
        words
    }

    /// One line.
    pub fn line(&self) -> String {
        let mut parts = vec![self.name.as_str(), ": "];
        if let (Some(maker), Some(port)) = (self.maker, &self.port) {
            parts.push(maker);
            if let Some(model) = &self.model {
                parts.extend([" ", model]);
            }
            if *port != self.name {
                parts.extend([" at ", port]);
            }
            parts.push(": ");
        }
        let modes = self.modes.join(", ");
        match &self.error {
            Some(error) => parts.push(error),
            None => parts.push(&self.words),
        }
        if self.result == Ending::Shown && !modes.is_empty() {
            parts.extend([" (of ", &modes, ")"]);
        }
        parts.concat()
    }
}

#[derive(Serialize)]
struct Json<'a> {
    modems: &'a Vec<Report>,
}

/// All of them.
pub fn json(modems: &Vec<Report>) -> String {
    json::to_string(&Json { modems }) + "\n"
}
