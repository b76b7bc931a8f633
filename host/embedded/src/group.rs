//! Consumer groups: committed positions, and the generation that members must have.

use std::collections::BTreeMap;

use millstream_core::port::GroupMetadata;
use millstream_core::{Error, Kind, Result};

use crate::transaction::Offsets;

/// One consumer group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// The committed positions.
    pub offsets: Offsets,
    /// Members of a lower generation are refused; not stored, since no member outlives the process.
    pub generation_min: Option<i32>,
}

/// All groups by name.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: BTreeMap<String, Group>,
}

impl Groups {
    pub fn get(&self, group: &str) -> Option<&Group> {
        self.groups.get(group)
    }

    pub fn get_or_create(&mut self, group: &str) -> &mut Group {
        self.groups.entry(group.to_owned()).or_default()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.groups.iter().map(|(name, group)| (name.as_str(), group))
    }

    /// Refuses a member whose generation has passed.
    pub fn check(&self, member: &GroupMetadata) -> Result<()> {
        let generation_min = self.get(&member.group_id).and_then(|group| group.generation_min);
        match generation_min {
            Some(generation) if member.generation < generation => Err(Error::new(
                Kind::TaskMigrated,
                format!(
                    "member `{}` of group `{}` has generation {}, but the group is at {generation}; join again",
                    member.member_id, member.group_id, member.generation
                ),
            )),
            _ => Ok(()),
        }
    }
}
