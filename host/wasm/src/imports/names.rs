//! The names of one kind that a node was given, of stores or of children, and those that its guest has asked for.

use crate::limits::{NAME_BYTES_MAX, NAMES_MAX};

/// What a node was given by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Granted {
    /// The stores that it may open.
    pub(crate) stores: Vec<String>,
    /// Its children, in their order.
    pub(crate) children: Vec<String>,
}

/// The names that a guest has asked for in `init`, for whoever tries a plugin.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Those that it got.
    pub found: Vec<String>,
    /// Those that it was refused.
    pub refused: Vec<String>,
}

/// The names of one kind.
#[derive(Default)]
pub(crate) struct Names {
    given: Vec<String>,
    asked: Asked,
}

impl Names {
    pub(super) fn new(given: Vec<String>) -> Self {
        Self { given, asked: Asked::default() }
    }

    /// Where a name stands among those that the node was given.
    pub(super) fn index_of(&self, name: &str) -> Option<usize> {
        self.given.iter().position(|given| given == name)
    }

    /// Notes that the guest has asked for a name.
    pub(super) fn note(&mut self, name: &str, is_found: bool) {
        let Asked { found, refused } = &mut self.asked;
        let asked = if is_found { found } else { refused };
        // A guest that asks for ever must not fill the host's memory.
        let is_bounded = asked.len() < NAMES_MAX && name.len() <= NAME_BYTES_MAX;
        if is_bounded && !asked.iter().any(|before| before == name) {
            asked.push(name.to_owned());
        }
    }

    /// What the guest has asked for.
    pub(crate) fn asked(&self) -> &Asked {
        &self.asked
    }
}
