//! What a WAN is taken for, and what the kernel says against it.

/// What a WAN is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// New; nothing answered yet, nothing is decided.
    Testing,
    /// Answers.
    Up,
    /// Answers are missing; still used.
    Suspect,
    /// Not used as long as another is there.
    Down,
}

impl State {
    /// The word for logs and status.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Testing => "testing",
            State::Up => "up",
            State::Suspect => "suspect",
            State::Down => "down",
        }
    }

    /// From that word.
    pub fn from_word(word: &str) -> Option<State> {
        [State::Testing, State::Up, State::Suspect, State::Down].into_iter().find(|s| s.as_str() == word)
    }
}

/// What stands in the way of any probe, as the kernel or the system tells it; any of these ends all doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// No such device now.
    Gone,
    /// Administratively down.
    AdminDown,
    /// No link detected.
    NoCarrier,
    /// No usable address.
    NoAddress,
    /// No default route.
    NoDefault,
    /// Told to let go (hotplug ifdown).
    Released,
}

impl Obstacle {
    const ALL: [Obstacle; 6] = [
        Obstacle::Gone,
        Obstacle::AdminDown,
        Obstacle::NoCarrier,
        Obstacle::NoAddress,
        Obstacle::NoDefault,
        Obstacle::Released,
    ];

    /// One word, for the record.
    pub fn word(self) -> &'static str {
        match self {
            Obstacle::Gone => "gone",
            Obstacle::AdminDown => "admin-down",
            Obstacle::NoCarrier => "no-carrier",
            Obstacle::NoAddress => "no-address",
            Obstacle::NoDefault => "no-default",
            Obstacle::Released => "released",
        }
    }

    /// From that word.
    pub fn from_word(word: &str) -> Option<Obstacle> {
        Obstacle::ALL.into_iter().find(|o| o.word() == word)
    }
}

impl std::fmt::Display for Obstacle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Obstacle::Gone => "device gone",
            Obstacle::AdminDown => "administratively down",
            Obstacle::NoCarrier => "no carrier",
            Obstacle::NoAddress => "no address",
            Obstacle::NoDefault => "no default route",
            Obstacle::Released => "interface taken down",
        })
    }
}
