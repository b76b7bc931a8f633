//! Orders many entries by key and looks at few of the keys: each is compared by eight bytes that lie beside each other, those behind what all of
//! the keys begin with.

/// Sorts `entries` by unsigned bytes of `key`.
pub fn sort_by_key<'a, T: Copy>(entries: &mut [T], key: impl Fn(&T) -> &'a [u8]) {
    let Some(first) = entries.first().map(&key) else { return };
    let common = entries.iter().fold(first.len(), |common, entry| shared_len(&first[..common], key(entry)));
    let mut sorted: Vec<(u64, T)> = entries.iter().map(|entry| (key_prefix(&key(entry)[common..]), *entry)).collect();
    sorted.sort_unstable_by(|(left_prefix, left), (right_prefix, right)| {
        left_prefix.cmp(right_prefix).then_with(|| key(left).cmp(key(right)))
    });
    entries.iter_mut().zip(sorted).for_each(|(entry, (_, next))| *entry = next);
}

/// The first eight bytes of `key` as a number that sorts as they do. Keys whose numbers are the same can still differ.
#[must_use]
pub fn key_prefix(key: &[u8]) -> u64 {
    let mut first = [0; 8];
    let len = key.len().min(first.len());
    first[..len].copy_from_slice(&key[..len]);
    u64::from_be_bytes(first)
}

fn shared_len(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_in_the_order_of_their_bytes_whatever_they_share() {
        let sets: [&[&[u8]]; 5] = [
            &[],
            &[b"one"],
            &[b"b", b"", b"a\0", b"a", b"\xff", b"a\0\0", b"A"],
            &[b"user-00000010", b"user-00000002", b"user-0000", b"user-00000002\0", b"user-1"],
            &[b"more than eight bytes, then 2", b"more than eight bytes, then 1", b"more than nine", b"more", b"less"],
        ];
        for keys in sets {
            let mut by_key = keys.to_vec();
            sort_by_key(&mut by_key, |key| key);
            let mut expected = keys.to_vec();
            expected.sort_unstable();
            assert_eq!(by_key, expected);
        }
    }
}
