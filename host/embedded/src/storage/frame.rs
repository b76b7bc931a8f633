//! Frames: how operations lie in a journal file, so that a torn end is told from damage.
//!
//! A file begins with a header: magic (8 bytes), format version (4), salt (4), CRC-32 of these (4); numbers are
//! little-endian. Then come frames: mark (4), length of the body (4), CRC-32 of salt, length and body (4), body. The
//! salt is another one in each file, so that a file's frames which lie in a record's value are not taken for frames.

use crc32fast::Hasher;

/// The format that this program writes, and the only one that it reads.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// The header's length.
pub(crate) const HEADER_BYTES: usize = 20;
/// The length of what precedes a frame's body.
pub(crate) const FRAME_HEAD_BYTES: usize = 12;
/// No body is longer: a length above it is damage, not a reason to allocate.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 30;

const MAGIC: [u8; 8] = *b"MILLSLOG";
const MARK: [u8; 4] = [0xf5, b'M', b'L', 0x0a];

/// Why a header is not one that can be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// It is cut short, has another magic, or its CRC is wrong.
    Damaged,
    /// The file was written in another format.
    Version(u32),
}

/// The header of a file with `salt`.
pub(crate) fn header(salt: u32) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&salt.to_le_bytes());
    let crc = crc32fast::hash(&header[..16]);
    header[16..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// Reads a header and returns the salt.
pub(crate) fn read_header(header: &[u8]) -> Result<u32, HeaderError> {
    let is_whole = header.len() == HEADER_BYTES && header[..8] == MAGIC;
    if !is_whole || number(&header[16..]) != crc32fast::hash(&header[..16]) {
        return Err(HeaderError::Damaged);
    }
    match number(&header[8..]) {
        FORMAT_VERSION => Ok(number(&header[12..])),
        other => Err(HeaderError::Version(other)),
    }
}

/// Begins a frame in `out` and returns where, for [`end_frame`].
pub(crate) fn begin_frame(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&MARK);
    out.extend_from_slice(&[0; FRAME_HEAD_BYTES - MARK.len()]);
    start
}

/// Ends the frame that was begun at `start`, with what has been written since as its body.
pub(crate) fn end_frame(out: &mut [u8], start: usize, salt: u32) {
    let (head, body) = out[start..].split_at_mut(FRAME_HEAD_BYTES);
    head[4..8].copy_from_slice(&(body.len() as u32).to_le_bytes());
    let crc = checksum(salt, body);
    head[8..].copy_from_slice(&crc.to_le_bytes());
}

/// The length and CRC of the body that follows a frame's head; `None` when this is no head.
pub(crate) fn read_head(head: &[u8; FRAME_HEAD_BYTES]) -> Option<(usize, u32)> {
    let length = number(&head[4..]) as usize;
    (head[..4] == MARK && length <= BODY_BYTES_MAX).then(|| (length, number(&head[8..])))
}

/// The CRC that a frame with `body` must have.
pub(crate) fn checksum(salt: u32, body: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(&(body.len() as u32).to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

/// Whether a whole frame begins anywhere in `bytes`.
pub(crate) fn contains_frame(bytes: &[u8], salt: u32) -> bool {
    let starts = bytes.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK).map(|(start, _)| start);
    starts.into_iter().any(|start| {
        let Some((head, rest)) = bytes[start..].split_first_chunk::<FRAME_HEAD_BYTES>() else { return false };
        let Some((length, crc)) = read_head(head) else { return false };
        rest.get(..length).is_some_and(|body| checksum(salt, body) == crc)
    })
}

fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_tells_its_salt_and_any_change_of_it_is_seen() {
        let good = header(77);
        assert_eq!(read_header(&good), Ok(77));
        for index in 0..HEADER_BYTES {
            let mut bad = good;
            bad[index] ^= 1;
            assert_eq!(read_header(&bad), Err(HeaderError::Damaged), "byte {index}");
        }
        assert_eq!(read_header(&good[..19]), Err(HeaderError::Damaged));
    }

    #[test]
    fn a_file_of_another_version_is_named() {
        let mut other = header(1);
        other[8..12].copy_from_slice(&9_u32.to_le_bytes());
        let crc = crc32fast::hash(&other[..16]);
        other[16..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(read_header(&other), Err(HeaderError::Version(9)));
    }

    #[test]
    fn a_frame_is_found_after_garbage_and_only_with_its_own_salt() {
        let mut bytes = b"garbage".to_vec();
        let start = begin_frame(&mut bytes);
        bytes.extend_from_slice(b"body");
        end_frame(&mut bytes, start, 5);
        assert!(contains_frame(&bytes, 5));
        assert!(!contains_frame(&bytes, 6));
        assert!(!contains_frame(&bytes[..bytes.len() - 1], 5));
        let head = bytes[start..].first_chunk().unwrap();
        assert_eq!(read_head(head), Some((4, checksum(5, b"body"))));
    }
}
