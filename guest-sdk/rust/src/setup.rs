//! What a processor is told when it begins.

use std::ops::{Deref, DerefMut};

use crate::context::{Child, Context};
use crate::error::{Error, Result};
use crate::host;
use crate::store::KeyValueStore;

/// What a processor is told when it begins, and the [`Context`] to schedule punctuations and open stores with.
pub struct Setup<'a> {
    pub(crate) processor: String,
    pub(crate) node: String,
    pub(crate) task: String,
    pub(crate) config: Vec<(String, String)>,
    pub(crate) children: Vec<String>,
    pub(crate) stores: Vec<String>,
    pub(crate) context: &'a mut Context,
}

impl Setup<'_> {
    /// Which of the plugin's processors this is.
    #[must_use]
    pub fn processor(&self) -> &str {
        &self.processor
    }

    /// The node's name in the topology.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The task: number of the sub-topology, underscore, partition (`0_3`).
    #[must_use]
    pub fn task(&self) -> &str {
        &self.task
    }

    /// A setting of the node, if the application gives it.
    #[must_use]
    pub fn config(&self, key: &str) -> Option<&str> {
        self.config.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// All settings of the node, in no particular order.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.config.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// A setting of the node that must be there.
    ///
    /// # Errors
    ///
    /// When it isn't; the message names it.
    pub fn required(&self, key: &str) -> Result<&str> {
        self.config(key)
            .ok_or_else(|| Error::fatal(format_args!("the node's setting `{key}` is missing: give it in `config`")))
    }

    /// The names of the nodes below this one.
    #[must_use]
    pub fn children(&self) -> &[String] {
        &self.children
    }

    /// The node below this one with that name, for [`Context::forward_to`].
    ///
    /// # Errors
    ///
    /// When there is none; the message names those there are.
    pub fn child(&self, name: &str) -> Result<Child> {
        host::child(name).map(Child).ok_or_else(|| {
            Error::fatal(format_args!("there is no child `{name}`, but {:?}: name one of them as input", self.children))
        })
    }

    /// The names of the stores that the node may open.
    #[must_use]
    pub fn stores(&self) -> &[String] {
        &self.stores
    }

    /// Opens a store of the node.
    ///
    /// # Errors
    ///
    /// When there is none of that name, or the node wasn't granted it.
    pub fn store(&mut self, name: &str) -> Result<KeyValueStore> {
        self.context.open_store(name)
    }
}

impl Deref for Setup<'_> {
    type Target = Context;

    fn deref(&self) -> &Context {
        self.context
    }
}

impl DerefMut for Setup<'_> {
    fn deref_mut(&mut self) -> &mut Context {
        self.context
    }
}
