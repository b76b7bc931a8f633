//! Sub-topologies: the parts of a topology that share neither an edge nor a store, and their numbers.

use super::node::{Node, NodeIndex, StoreSpec};
use crate::id::SubTopologyId;

/// A part of the topology that only topics connect to the rest. One task runs it for one partition number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubTopology {
    /// Its number.
    pub id: SubTopologyId,
    /// Its nodes; each comes after its parents.
    pub nodes: Vec<NodeIndex>,
    /// Its stores, as indices into [`Topology::stores`](super::Topology::stores), in the order of their first users.
    pub stores: Vec<usize>,
}

impl SubTopology {
    /// Its sources, in order.
    pub fn sources<'a>(&'a self, topology: &'a super::Topology) -> impl Iterator<Item = NodeIndex> + 'a {
        self.nodes.iter().copied().filter(|index| topology.node(*index).as_source().is_some())
    }
}

/// Divides nodes into sub-topologies: nodes are together when one forwards to the other or both use a store. They are
/// numbered by their first node (§3.2).
pub(super) fn divide(nodes: &[Node], stores: &[StoreSpec]) -> Vec<SubTopology> {
    let mut roots = Roots((0..nodes.len()).collect());
    for (index, node) in nodes.iter().enumerate() {
        for parent in &node.parents {
            roots.join(index, parent.0);
        }
    }
    for store in stores {
        for pair in store.users.windows(2) {
            roots.join(pair[0].0, pair[1].0);
        }
    }
    let mut id_of_root = vec![None; nodes.len()];
    let mut sub_topologies: Vec<SubTopology> = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let id = *id_of_root[roots.find(index)].get_or_insert_with(|| {
            let id = SubTopologyId(sub_topologies.len() as u32);
            sub_topologies.push(SubTopology { id, nodes: Vec::new(), stores: Vec::new() });
            id
        });
        let sub_topology = &mut sub_topologies[id.0 as usize];
        sub_topology.nodes.push(NodeIndex(index));
        for store in &node.stores {
            if !sub_topology.stores.contains(store) {
                sub_topology.stores.push(*store);
            }
        }
    }
    sub_topologies
}

/// A forest in which nodes that belong together have one root (quick union).
struct Roots(Vec<usize>);

impl Roots {
    fn find(&self, mut index: usize) -> usize {
        while self.0[index] != index {
            index = self.0[index];
        }
        index
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.find(one), self.find(other));
        self.0[one.max(other)] = one.min(other);
    }
}
