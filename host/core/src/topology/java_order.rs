//! The orders in which Java's collections iterate. Kafka's `Topology#describe` depends on them, and people compare its text.

/// The order in which a `HashSet` iterates that `names` were added to one by one.
pub(super) fn grown_order<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<usize> {
    bucket_order(names, |count| {
        let mut buckets = 16;
        while count > buckets / 4 * 3 {
            buckets *= 2;
        }
        buckets
    })
}

/// The order in which a `HashSet` iterates that was made as a copy of a collection of `names`; it may have more buckets.
pub(super) fn copied_order<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<usize> {
    bucket_order(names, |count| (count * 4 / 3 + 1).next_power_of_two().max(16))
}

/// By bucket, then by time of addition; buckets of eight and more names, which Java makes trees, keep that too.
fn bucket_order<'a>(names: impl IntoIterator<Item = &'a str>, buckets: impl Fn(usize) -> usize) -> Vec<usize> {
    let hashes: Vec<u32> = names.into_iter().map(spread_hash).collect();
    let mask = buckets(hashes.len()) - 1;
    let mut order: Vec<usize> = (0..hashes.len()).collect();
    order.sort_by_key(|index| hashes[*index] as usize & mask);
    order
}

/// `String#hashCode`, spread as `HashMap` does.
fn spread_hash(text: &str) -> u32 {
    let hash = text.encode_utf16().fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
    hash ^ (hash >> 16)
}

/// A `TreeSet` of numbers without removal. It is a red-black tree because Kafka sorts nodes by a size that still grows after they were
/// added: what comes where then depends on which numbers an insertion was compared with.
#[derive(Clone, Debug, Default)]
pub(super) struct TreeSet {
    nodes: Vec<TreeNode>,
    root: Option<usize>,
}

#[derive(Clone, Debug)]
struct TreeNode {
    item: usize,
    is_red: bool,
    parent: Option<usize>,
    /// Left and right.
    children: [Option<usize>; 2],
}

impl TreeSet {
    /// Adds `item`, unless it is there; `is_less` compares two different items.
    pub fn insert(&mut self, item: usize, is_less: impl Fn(usize, usize) -> bool) {
        let mut parent = None;
        let mut side = 0;
        let mut next = self.root;
        while let Some(at) = next {
            if self.nodes[at].item == item {
                return;
            }
            side = usize::from(!is_less(item, self.nodes[at].item));
            parent = next;
            next = self.nodes[at].children[side];
        }
        let added = self.nodes.len();
        self.nodes.push(TreeNode { item, is_red: true, parent, children: [None, None] });
        match parent {
            Some(parent) => self.nodes[parent].children[side] = Some(added),
            None => self.root = Some(added),
        }
        self.rebalance(added);
    }

    /// The items in order.
    pub fn items(&self) -> Vec<usize> {
        let mut items = Vec::with_capacity(self.nodes.len());
        let mut open = Vec::new();
        let mut next = self.root;
        while next.is_some() || !open.is_empty() {
            while let Some(at) = next {
                open.push(at);
                next = self.nodes[at].children[0];
            }
            if let Some(at) = open.pop() {
                items.push(self.nodes[at].item);
                next = self.nodes[at].children[1];
            }
        }
        items
    }

    /// Restores the red-black rules above the red node `at` (`TreeMap#fixAfterInsertion`).
    fn rebalance(&mut self, mut at: usize) {
        while let Some(parent) = self.nodes[at].parent.filter(|parent| self.nodes[*parent].is_red) {
            let Some(grandparent) = self.nodes[parent].parent else { break };
            let side = self.side(parent);
            let uncle = self.nodes[grandparent].children[1 - side];
            if let Some(uncle) = uncle.filter(|uncle| self.nodes[*uncle].is_red) {
                self.nodes[parent].is_red = false;
                self.nodes[uncle].is_red = false;
                self.nodes[grandparent].is_red = true;
                at = grandparent;
                continue;
            }
            let mut upper = parent;
            if self.side(at) != side {
                self.rotate(parent, side);
                upper = at;
                at = parent;
            }
            self.nodes[upper].is_red = false;
            self.nodes[grandparent].is_red = true;
            self.rotate(grandparent, 1 - side);
        }
        if let Some(root) = self.root {
            self.nodes[root].is_red = false;
        }
    }

    /// Which child of its parent `at` is.
    fn side(&self, at: usize) -> usize {
        let parent = self.nodes[at].parent;
        usize::from(parent.is_some_and(|parent| self.nodes[parent].children[1] == Some(at)))
    }

    /// Moves `at` down to `side`, and its child on the other side up to its place.
    fn rotate(&mut self, at: usize, side: usize) {
        let Some(up) = self.nodes[at].children[1 - side] else { return };
        let (parent, at_side) = (self.nodes[at].parent, self.side(at));
        let inner = self.nodes[up].children[side];
        self.nodes[at].children[1 - side] = inner;
        if let Some(inner) = inner {
            self.nodes[inner].parent = Some(at);
        }
        self.nodes[up].children[side] = Some(at);
        self.nodes[up].parent = parent;
        self.nodes[at].parent = Some(up);
        match parent {
            Some(parent) => self.nodes[parent].children[at_side] = Some(up),
            None => self.root = Some(up),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_in_the_order_of_a_java_hash_set() {
        // As JDK 17 iterates; with twelve names a copy has twice the buckets.
        let names = ["s0", "s5", "s10", "s15", "s20", "s25", "s30", "s35", "s40", "s45", "s50", "s55"];
        let copied: Vec<&str> = copied_order(names).into_iter().map(|index| names[index]).collect();
        assert_eq!(copied, ["s5", "s40", "s50", "s20", "s30", "s55", "s10", "s35", "s45", "s15", "s25", "s0"]);
        let grown: Vec<&str> = grown_order(names).into_iter().map(|index| names[index]).collect();
        assert_eq!(grown, ["s20", "s30", "s5", "s55", "s10", "s35", "s45", "s15", "s25", "s0", "s40", "s50"]);
        assert_eq!(grown_order([]), Vec::<usize>::new());
    }

    #[test]
    fn a_tree_set_sorts() {
        let mut set = TreeSet::default();
        let mut number = 7_usize;
        for _ in 0..400 {
            number = number * 6_364_136_223 % 1_009;
            set.insert(number, |one, other| one < other);
        }
        let items = set.items();
        assert!(items.len() > 100);
        assert!(items.is_sorted());
    }
}
