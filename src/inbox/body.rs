//! Packs bodies for storage: compressed if that is smaller.

use std::{cell::RefCell, io};

use bytes::Bytes;
use miniz_oxide::{
    deflate::core::{
        CompressionStrategy, CompressorOxide, TDEFLFlush, TDEFLStatus, compress,
        create_comp_flags_from_zip_params,
    },
    inflate::decompress_to_vec_with_limit,
};

use super::short_deflate;
use crate::domain::Timestamp;

/// The longest body that is stored. If decompression gives a longer result, the stored bytes are
/// damaged.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The stored form of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBody {
    /// Whether the bytes are raw DEFLATE.
    pub deflated: bool,
    /// Compressed, or as received.
    pub bytes: Bytes,
}

/// The separate items of a body that is too long for its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyParts {
    /// SHA-256 of the stored bytes.
    pub digest: [u8; 32],
    /// The number of items.
    pub count: u32,
    /// When the notification that wrote them was received.
    pub received_at: Timestamp,
}

/// Bytes of a notification in an inbox, compressed or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyCopy {
    /// Where they are stored in this inbox, for a person.
    pub location: String,
    /// How many bytes it holds.
    pub bytes: usize,
}

thread_local! {
    /// The compressor for long bodies, one for each thread, because creating one costs more than
    /// using it. It uses fixed Huffman codes: codes for each body would make it a tenth smaller,
    /// but also cost more than the compression itself.
    static DEFLATE: RefCell<CompressorOxide> =
        RefCell::new(CompressorOxide::new(create_comp_flags_from_zip_params(1, 0,
            CompressionStrategy::Fixed as i32)));
}

impl StoredBody {
    /// Compresses `body`, unless that makes it no shorter.
    pub fn pack(body: &Bytes) -> Self {
        match deflate(body) {
            Some(smaller) => Self {
                deflated: true,
                bytes: smaller.into(),
            },
            None => Self {
                deflated: false,
                bytes: body.clone(),
            },
        }
    }

    /// The body as it was received.
    pub fn unpack(self) -> io::Result<Bytes> {
        if self.deflated {
            inflate(&self.bytes).map(Bytes::from)
        } else {
            Ok(self.bytes)
        }
    }
}

/// `body` compressed, or `None` if that is not shorter.
fn deflate(body: &[u8]) -> Option<Vec<u8>> {
    if body.len() <= short_deflate::MAX_BYTES {
        let smaller = short_deflate::deflate(body);
        return (smaller.len() < body.len()).then_some(smaller);
    }
    DEFLATE.with_borrow_mut(|deflate| {
        deflate.reset();
        let mut smaller = vec![0; body.len() - 1];
        let (status, _, length) = compress(deflate, body, &mut smaller, TDEFLFlush::Finish);
        smaller.truncate(length);
        (status == TDEFLStatus::Done).then_some(smaller)
    })
}

fn inflate(stored: &[u8]) -> io::Result<Vec<u8>> {
    decompress_to_vec_with_limit(stored, MAX_BYTES).map_err(|_| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_packed_body_is_unpacked_byte_for_byte(body: Vec<u8>) {
            let body = Bytes::from(body);
            let stored = StoredBody::pack(&body);
            prop_assert!(stored.bytes.len() <= body.len());
            prop_assert_eq!(stored.unpack().unwrap(), body);
        }
    }

    #[test]
    fn text_is_compressed_and_random_bytes_are_not() {
        // Below and above the length from which the other compressor is used.
        for times in [1, 100] {
            let text = Bytes::from("the same words again and again, ".repeat(100 * times));
            let stored = StoredBody::pack(&text);
            assert!(stored.deflated && stored.bytes.len() < text.len() / 10);
            assert_eq!(stored.unpack().unwrap(), text);

            let noise = Bytes::from(
                (0..500 * u32::try_from(times).unwrap())
                    .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
                    .collect::<Vec<_>>(),
            );
            let stored = StoredBody::pack(&noise);
            assert!(!stored.deflated);
            assert_eq!(stored.unpack().unwrap(), noise);
        }
    }

    #[test]
    fn a_body_that_compresses_well_is_unpacked_whole() {
        for length in [0, 1, 1023, 1024, 4096, 4097, 100_000, 350_000, 8 << 20] {
            for pattern in ["[", "ab", "{\"n\":1}"] {
                let body = Bytes::from(pattern.repeat(length / pattern.len()));
                assert!(
                    StoredBody::pack(&body).unpack().unwrap() == body,
                    "{length} bytes of {pattern}"
                );
            }
        }
    }

    #[test]
    fn a_body_longer_than_the_limit_is_not_unpacked() {
        for (length, is_read) in [(MAX_BYTES, true), (MAX_BYTES + 1, false)] {
            let deflated = deflate(&vec![b'a'; length]).expect("it shrinks");
            assert_eq!(inflate(&deflated).is_ok(), is_read, "{length}");
        }
    }

    #[test]
    fn damaged_bytes_are_an_error() {
        let stored = StoredBody {
            deflated: true,
            bytes: Bytes::from_static(b"\xff\xff\xff"),
        };
        assert_eq!(
            stored.unpack().unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }
}
